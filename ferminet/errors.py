"""Errors that a user can cause or has to handle, each with its exit code."""


class FermiNetError(Exception):
    """Base class; the text is one sentence and is shown without a traceback."""

    exit_code = 1


class InputError(FermiNetError, ValueError):
    """The input is wrong; the text states what was given, what is allowed and what to do.

    It is a ValueError, so that the validators of pydantic models can raise it.
    """

    exit_code = 2


class NotConvergedError(FermiNetError):
    """A calculation did not converge or produced a value that is not finite."""

    exit_code = 3


class ResourceError(FermiNetError):
    """A resource of the machine is missing: memory, disk space, a GPU."""

    exit_code = 4


class CorruptError(FermiNetError):
    """A file that the package wrote cannot be read back as it was written."""

    exit_code = 5


class InterruptedRunError(FermiNetError):
    """The run was asked to stop; the same command continues from the saved state, if any."""

    exit_code = 75
