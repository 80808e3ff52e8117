"""The end of a sentence that refuses a name: what may have been meant."""

import difflib
from collections.abc import Iterable


def nearest(
    word: str, allowed: Iterable[str], otherwise: str | None = None, cutoff: float = 0.6
) -> str:
    """Return which allowed word is near, else `otherwise` or all of them.

    The cutoff is that of `difflib.get_close_matches`.

    >>> nearest("walker", ["walkers", "burn_in"])
    'did you mean walkers?'
    >>> nearest("zzz", ["walkers", "burn_in"])
    'choose one of burn_in, walkers.'
    """
    names = sorted(set(allowed))
    if not names:
        return "there is none to choose from."
    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=cutoff)
    if near:
        return f"did you mean {lowered[near[0]]}?"
    return otherwise or f"choose one of {', '.join(names)}."


def among(labels: Iterable[str]) -> str:
    """Return labels of a grid in their order, abbreviated if there are many.

    >>> among(["a85", "a88", "a90", "a92", "a95"])
    'choose one of a85, a88, a90, a92, a95.'
    """
    names = list(labels)
    if not names:
        return "there is none to choose from."
    if len(names) > 8:
        names = [*names[:3], "...", *names[-2:]]
    return f"choose one of {', '.join(names)}."
