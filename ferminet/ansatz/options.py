"""Checks of a builder's options: each refusal is one sentence with the option's name and value."""

from collections.abc import Collection
from typing import Any

from ferminet.errors import InputError


def check_whole_number(ansatz: str, name: str, value: Any, smallest: int = 1) -> None:
    """Refuses what is not a whole number of at least ``smallest``.

    Raises:
        InputError: with the wavefunction's and the option's name.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
        raise InputError(
            f"{ansatz} option {name} is {value!r}; it must be a whole number of at least "
            f"{smallest}."
        )


def check_flag(ansatz: str, name: str, value: Any) -> None:
    """Refuses what is neither true nor false.

    Raises:
        InputError: with the wavefunction's and the option's name.
    """
    if not isinstance(value, bool):
        raise InputError(f"{ansatz} option {name} is {value!r}; it must be true or false.")


def check_choice(ansatz: str, name: str, value: Any, allowed: Collection[str]) -> None:
    """Refuses what is not one of the allowed names.

    Raises:
        InputError: with the wavefunction's and the option's name.
    """
    if value not in allowed:
        raise InputError(
            f"{ansatz} option {name} is {value!r}; choose one of {', '.join(allowed)}."
        )
