"""Errors in the code of a wavefunction, as one sentence with file and line."""

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax.errors

import ferminet
from ferminet.errors import InputError, ResourceError

_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
_PACKAGE = str(Path(ferminet.__file__).parent)
_TRACER_ERRORS = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)
_TRACER_HINT = (
    "; Python's if, float(), int(), range() and NumPy functions cannot read values of arguments "
    "in a compiled program: use jnp.where, jnp functions and static shapes"
)


class PluginError(InputError):
    """The code of a wavefunction raised an error.

    Attributes:
        cause: position and type of the error, the same for all checks that meet it.
    """

    def __init__(self, error: BaseException, action: str, home: Path | None) -> None:
        position, kind = _position(error, home), type(error).__name__
        words = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        text = f"{kind}: {words.rstrip('.')}" if words else kind
        hint = _TRACER_HINT if isinstance(error, _TRACER_ERRORS) else ""
        super().__init__(f"{position}: {action} raised {text}{hint}.")
        self.cause = f"{position} {kind}"


@contextmanager
def guarded(action: str, home: Path | None, inputs_pass: bool = False) -> Iterator[None]:
    """Turn any error of the wavefunction's code into a `PluginError`.

    Args:
        action: what is called, the subject of the sentence.
        home: the file of the builder.
        inputs_pass: whether an `InputError`, already a message for the user, passes unchanged.
    """
    try:
        yield
    except (PluginError, ResourceError):
        raise
    except (Exception, SystemExit) as error:
        if inputs_pass and isinstance(error, InputError):
            raise
        raise PluginError(error, action, home) from None


def _position(error: BaseException, home: Path | None) -> str:
    """Return `file:line` of the innermost frame of the builder's file, else of any user code."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if home is not None and Path(frame.filename) == home]
    others = [f for f in frames if not f.filename.startswith((*_LIBRARIES, _PACKAGE, "<"))]
    for frame in (own or others)[-1:]:
        return f"{frame.filename}:{frame.lineno}"
    return str(home or "the wavefunction")
