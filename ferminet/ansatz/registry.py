"""Build a wavefunction from the name of its builder."""

import inspect
from collections.abc import Mapping
from typing import Any

from ferminet.ansatz.base import Ansatz, AnsatzSpec
from ferminet.config.plugins import load_object, plugin_call
from ferminet.errors import InputError


def build_ansatz(target: str, options: Mapping[str, Any], spec: AnsatzSpec) -> Ansatz:
    """Call the builder that a study names.

    Raises:
        InputError: the object is not a builder, or raises an error, or rejects its options or the
            system.
    """
    contract = "a builder is build(spec, **options) and returns a ferminet.ansatz.base.Ansatz"
    builder = load_object(target)
    try:
        inspect.signature(builder).bind(spec, **options)
    except (TypeError, ValueError) as error:
        raise InputError(f"{target} cannot be called ({error}); {contract}.") from None
    with plugin_call(target, "build(spec, **options)"):
        ansatz = builder(spec, **options)
    if not isinstance(ansatz, Ansatz):
        raise InputError(f"{target} returned {type(ansatz).__name__}; {contract}.")
    return ansatz
