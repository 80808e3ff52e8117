"""What a wavefunction's own code raises, as one sentence with the file and the line."""

import inspect
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax.errors

import ferminet
from ferminet.errors import InputError, ResourceError

_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
_PACKAGE = str(Path(ferminet.__file__).parent)
_STATIC = (
    "; Python's if, float(), int(), range() and NumPy functions cannot read values of arguments, "
    "of which a compiled program has none: write jnp.where, jnp functions and static shapes"
)


class PluginError(InputError):
    """A wavefunction's own code raised something: the text names the place.

    Attributes:
        cause: place and error, without what was called: the same for all checks that meet it.
    """

    def __init__(self, sentence: str, cause: str) -> None:
        super().__init__(sentence)
        self.cause = cause


def source_of(builder: Callable[..., Any]) -> Path | None:
    """The file that a builder is written in."""
    try:
        found = inspect.getsourcefile(inspect.unwrap(builder))
    except TypeError:
        return None
    return Path(found) if found else None


@contextmanager
def guarded(doing: str, home: Path | None, inputs_pass: bool = False) -> Iterator[None]:
    """Turns what the wavefunction's code raises into a `PluginError`.

    Args:
        doing: what is called, to begin the sentence with.
        home: the file of the builder.
        inputs_pass: an `InputError` is a sentence of the package's or of the builder's, and passes
            as it is.
    """
    try:
        yield
    except (PluginError, ResourceError):
        raise
    except InputError as error:
        if inputs_pass:
            raise
        raise _plugin_error(error, doing, home) from None
    except (Exception, SystemExit) as error:
        raise _plugin_error(error, doing, home) from None


def _plugin_error(error: BaseException, doing: str, home: Path | None) -> PluginError:
    place = _place(error, home)
    words = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    what = type(error).__name__ + (f": {words.rstrip('.')}" if words else "")
    static = isinstance(
        error, jax.errors.ConcretizationTypeError | jax.errors.TracerArrayConversionError
    )
    hint = _STATIC if static else ""
    return PluginError(f"{place}: {doing} raised {what}{hint}.", f"{place} {type(error).__name__}")


def _place(error: BaseException, home: Path | None) -> str:
    """``file:line`` of the innermost frame of the builder's file, else of any code of a user."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if home is not None and Path(frame.filename) == home]
    others = [f for f in frames if not f.filename.startswith((*_LIBRARIES, _PACKAGE, "<"))]
    innermost = (own or others)[-1:]
    return (
        f"{innermost[0].filename}:{innermost[0].lineno}"
        if innermost
        else str(home or "the wavefunction")
    )
