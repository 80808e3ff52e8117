"""From the name of a builder to a wavefunction."""

import inspect
from collections.abc import Mapping
from typing import Any

from ferminet.ansatz.base import Ansatz, AnsatzSpec
from ferminet.config.plugins import load_object
from ferminet.errors import InputError


def build_ansatz(target: str, options: Mapping[str, Any], spec: AnsatzSpec) -> Ansatz:
    """Call the builder that a study names.

    Raises:
        InputError: it does not have the form of a builder, or refuses its options or the system.
            Other exceptions of its code pass through.
    """
    contract = "it must be build(spec, **options) and return a ferminet.ansatz.base.Ansatz"
    builder = load_object(target)
    try:
        inspect.signature(builder).bind(spec, **options)
    except TypeError as error:
        raise InputError(f"{target} cannot be called ({error}); {contract}.") from None
    ansatz = builder(spec, **options)
    if not isinstance(ansatz, Ansatz):
        raise InputError(f"{target} returned {type(ansatz).__name__}; {contract}.")
    return ansatz
