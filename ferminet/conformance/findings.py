"""What a check finds."""

from typing import Any, NamedTuple

PASSED, FAILED, REPORTED, NOT_RUN = "passed", "failed", "reported", "not run"


class Finding(NamedTuple):
    """The outcome of one check."""

    name: str
    status: str  # passed, failed, reported, or not run
    measured: str  # what was found, with its unit
    limit: str = ""  # what is allowed
    sentence: str = ""  # of a failure: what was expected, and where to look
    details: dict[str, Any] = {}  # noqa: RUF012  # numbers for `--json`; never changed


class Outcome(NamedTuple):
    """What a check returns, before it has its name.

    A check passes if it has no sentence.
    """

    measured: str
    limit: str = ""
    sentence: str = ""
    details: dict[str, Any] = {}  # noqa: RUF012


def largest(
    name: str, values: dict[str, float], limit: float, sentence: str, unit: str = ""
) -> Outcome:
    """The largest of several deviations against one limit; NaN is larger than any.

    Args:
        name: what the deviations are of.
        values: where -> deviation.
        limit: largest allowed.
        sentence: of a failure; ``{where}`` and ``{value}`` are filled in.
        unit: of the deviations.
    """
    if not values:
        return Outcome(f"{name}: nothing to compare")
    where, value = max(values.items(), key=lambda item: (item[1] != item[1], item[1]))
    failed = not value <= limit
    text = sentence.format(where=where, value=f"{value:.2g}{unit}") if failed else ""
    return Outcome(f"{name} {value:.1e}{unit}", f"{limit:.1e}{unit}", text, {"at": values})
