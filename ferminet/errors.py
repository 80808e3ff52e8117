"""Errors that a user can cause or must know of, each with the exit code of the command line."""


class FermiNetError(Exception):
    """Base of the errors below; its text is one sentence that is shown without a traceback."""

    exit_code = 1


class InputError(FermiNetError, ValueError):
    """The input is wrong: the text says what was got, what is allowed and what to do.

    It is a ValueError, so that the validators of pydantic models can raise it.
    """

    exit_code = 2


class NotConvergedError(FermiNetError):
    """A calculation did not converge or met a value that is not finite."""

    exit_code = 3


class ResourceError(FermiNetError):
    """The machine lacks something: memory, disk, a GPU."""

    exit_code = 4


class CorruptError(FermiNetError):
    """A file that the package wrote cannot be read back as it was written."""

    exit_code = 5


class InterruptedRunError(FermiNetError):
    """The run was asked to stop; started again it goes on from its saved state, if it has one."""

    exit_code = 75
