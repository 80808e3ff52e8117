"""Find the function that builds a wavefunction, as a person names it in a study.

A name has one of three forms: `module:function`, `file.py:function`, or the name of an entry point
of the group `ferminet.ansatz`. Nothing else is imported because a file names it: a builder named in
a file of results is called only if it is part of this package (`is_own`).
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from ferminet.errors import InputError
from ferminet.systems.suggestions import nearest

GROUP = "ferminet.ansatz"
# A module of the package's wavefunctions; one that is called "py" would be a file elsewhere.
_OWN = re.compile(r"ferminet\.ansatz\.(?!py:)[a-z_]+:build")
# The options of the package's own builders, a module without JAX.
_OWN_OPTIONS = "ferminet.ansatz.options"
_FORMS = "write module:function, file.py:function or the name of an entry point"
_PLAIN = (bool, int, float, str, type(None))


def _split(target: str) -> tuple[str, str]:
    """Split `module:function`, looking entry points up first."""
    if ":" not in target:
        if target.endswith(".py"):
            raise InputError(f"{target!r} names no function; write {target}:build.")
        entry_points = importlib.metadata.entry_points(group=GROUP)
        if target not in entry_points.names:
            installed = ", ".join(sorted(entry_points.names)) or "none"
            raise InputError(
                f"{target!r} is no entry point of the group {GROUP} (installed: {installed}); "
                f"{_FORMS}."
            )
        target = entry_points[target].value
    module, _, function = target.rpartition(":")
    if not module or not function.isidentifier():
        raise InputError(f"{target!r} does not name a function; {_FORMS}.")
    return module, function


def is_own(target: str) -> bool:
    """Whether a name is that of a wavefunction of this package; nothing is imported to find out."""
    return _OWN.fullmatch(target) is not None


def plugin_file(target: str) -> Path | None:
    """Return the file of a `file.py:function` name, None for installed modules.

    InputError reports a name without a valid form, or a file that does not exist.
    """
    module, _ = _split(target)
    if not module.endswith(".py"):
        return None
    if not os.path.isfile(module):
        raise InputError(
            f"the plug-in file {module} does not exist (seen from {Path.cwd()}); correct its path."
        )
    return Path(module)


def plugin_digest(target: str) -> str | None:
    """Return the SHA-256 of a plug-in file's content, None for installed modules."""
    path = plugin_file(target)
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


def builder_options(target: str) -> dict[str, Any] | None:
    """Return the options of a builder with their defaults, None if it takes any (`**options`).

    The options of the package's builders are known without importing JAX. A plug-in is imported;
    its options are those of its model `Options` if it has one, else the parameters of the builder.
    """
    own = importlib.import_module(_OWN_OPTIONS).OPTIONS if is_own(target) else {}
    model = own.get(target)
    if model is None:
        builder = load_object(target)
        model = options_model(target)
        if model is None:
            parameters = list(inspect.signature(builder).parameters.values())[1:]
            if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
                return None
            return {parameter.name: parameter.default for parameter in parameters}
    fields = model.model_fields
    return {name: field.get_default(call_default_factory=True) for name, field in fields.items()}


def read_options(words: list[str]) -> dict[str, Any]:
    """Return a builder's options from one JSON object or from `key=value` words.

    >>> read_options(["layers=2", "envelope=isotropic"])
    {'layers': 2, 'envelope': 'isotropic'}

    InputError reports words of another form.
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


def option_defaults(target: str) -> dict[str, Any]:
    """Return the defaults of a builder's options that are numbers, text, flags or None."""
    options = builder_options(target) or {}
    return {name: value for name, value in options.items() if isinstance(value, _PLAIN)}


def options_model(target: str) -> type[BaseModel] | None:
    """Return the model `Options` that a plug-in's module exports, None if there is none."""
    model = getattr(_load_module(target), "Options", None)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def load_object(target: str) -> Callable[..., Any]:
    """Import the function that a name stands for.

    Raises:
        InputError: there is no such module, file or function. What the plug-in's own code raises
            passes through with its traceback, which its author needs.
    """
    name, function = _split(target)
    module = _load_module(target)
    loaded = getattr(module, function, None)
    if not callable(loaded):
        functions = inspect.getmembers(module, inspect.isfunction)
        defined = [key for key, value in functions if value.__module__ == module.__name__]
        raise InputError(f"{name} has no function {function!r}; {nearest(function, defined)}")
    return loaded


def _load_module(target: str) -> ModuleType:
    path = plugin_file(target)
    if path is not None:
        return _import_file(path)
    name, _ = _split(target)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise  # the module exists, but something that it imports does not
        raise InputError(f"there is no Python module {name!r}; {_FORMS}.") from None


def _import_file(path: Path) -> ModuleType:
    # The digest in the name keeps plug-ins of the same file name apart, and versions of a file.
    content = path.read_bytes()
    digest = hashlib.sha256(str(path.resolve()).encode() + content).hexdigest()[:8]
    name = f"ferminet_plugin_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    try:
        compile(content, str(path), "exec")
    except (SyntaxError, ValueError) as error:
        raise InputError(f"the plug-in {path} is not valid Python: {error}.") from None
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # its name ends with .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, SystemExit):
            raise InputError(
                f"the plug-in {path} ends the program when it is imported (SystemExit "
                f"{error.code}); remove that call."
            ) from None
        raise
    return module
