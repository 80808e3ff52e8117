"""Options of a builder, read from the words of a command line."""

import json
from contextlib import suppress
from typing import Any

from ferminet.errors import InputError


def read_options(words: list[str]) -> dict[str, Any]:
    """Return a builder's options from one JSON object or from `key=value` words.

    >>> read_options(["layers=2", "envelope=isotropic"])
    {'layers': 2, 'envelope': 'isotropic'}

    Raises:
        InputError: the words have neither form.
    """
    form = "write --options key=value ... or --options '{\"key\": value}'"
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            return json.loads(words[0])
        except json.JSONDecodeError as error:
            raise InputError(f"--options is not valid JSON ({error}); {form}.") from None
    options: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"--options {word!r} is not key=value; {form}.")
        options[key] = value
        with suppress(json.JSONDecodeError):
            options[key] = json.loads(value)
    return options
