"""Options of a builder, as words of a command line."""

import json
from typing import Any

from ferminet.errors import InputError


def read_options(words: list[str]) -> dict[str, Any]:
    """A builder's options, from one JSON object or from ``key=value`` each.

    >>> read_options(["layers=2", "envelope=isotropic"])
    {'layers': 2, 'envelope': 'isotropic'}

    Raises:
        InputError: neither.
    """
    form = "write --options key=value ... or --options '{\"key\": value}'"
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            return json.loads(words[0])
        except json.JSONDecodeError as error:
            raise InputError(f"--options is not valid JSON ({error}); {form}.") from None
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"--options {word!r} is not key=value; {form}.")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    return found
