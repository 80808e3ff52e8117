"""Find the function that a study names: the builder of a wavefunction, or a plug-in optimiser.

A name has one of three forms: `module:function`, `file.py:function`, or the name of an entry point
of the group `ferminet.ansatz`. A builder named in a file of results is called only if it is part of
this package (`is_own`).
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
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

import ferminet
from ferminet.errors import FermiNetError, InputError
from ferminet.systems.validation import Block, nearest

GROUP = "ferminet.ansatz"
# The package's own wavefunctions. (`ferminet.ansatz.py:build` would be a file.)
_OWN = re.compile(r"ferminet\.ansatz\.(?!py:)[a-z_]+:build")
# The options of the package's own builders, a module without JAX.
_OWN_OPTIONS = "ferminet.ansatz.options"
_FORMS = "write module:function, file.py:function or the name of an entry point"
_PLAIN = (bool, int, float, str, type(None))
# The package's own code, whose errors are bugs and keep their tracebacks.
_PACKAGE = re.compile(r"ferminet\.(?!py:)")
_LIBRARIES = (
    *(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib")),
    str(Path(ferminet.__file__).parent),
)
_TRACER_ERRORS = {"ConcretizationTypeError", "TracerArrayConversionError"}
_TRACER_HINT = (
    "; Python's if, float(), int(), range() and NumPy functions cannot read values of arguments "
    "in a compiled program: use jnp.where, jnp functions and static shapes"
)


class PluginError(InputError):
    """The code of a plug-in raised an error."""

    def __init__(self, error: BaseException, action: str, home: Path | None) -> None:
        position, kind = _position(error, home), type(error).__name__
        words = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        text = f"{kind}: {words.rstrip('.')}" if words else kind
        hint = _TRACER_HINT if _TRACER_ERRORS & {c.__name__ for c in type(error).__mro__} else ""
        super().__init__(f"{position}: {action} raised {text}{hint}.")
        self.cause = f"{position} {kind}"  # the same for all checks that meet the error


@contextmanager
def guarded(action: str, home: Path | None, inputs_pass: bool = False) -> Iterator[None]:
    """Turn any error of a plug-in's code into a `PluginError`.

    Its sentence names the action (what was called) and a line of `home`, the plug-in's file.
    With `inputs_pass` an `InputError`, already a message for the user, passes unchanged.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        machine = isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
        wrong_input = isinstance(error, InputError) and not isinstance(error, PluginError)
        if machine or (isinstance(error, FermiNetError) and (inputs_pass or not wrong_input)):
            raise
        raise PluginError(error, action, home) from None


@contextmanager
def plugin_call(target: str, action: str) -> Iterator[None]:
    """Guard a call of the plug-in `target`; the package's own code is not guarded."""
    if _PACKAGE.match(target):
        yield
        return
    with guarded(action, plugin_file(target) or Path(target.partition(":")[0]), inputs_pass=True):
        yield


def _position(error: BaseException, home: Path | None) -> str:
    """Return `file:line` of the innermost frame of the plug-in's file, else of any user code."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if home is not None and Path(f.filename) == home.resolve()]
    own = own or [f for f in frames if not f.filename.startswith((*_LIBRARIES, "<"))]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else str(home or "the plug-in")


def _split(target: str) -> tuple[str, str]:
    """Split `module:function`, looking entry points up first."""
    if ":" not in target:
        if target.endswith(".py"):
            raise InputError(f"{target!r} names no function; write {target}:build.")
        entry_points = importlib.metadata.entry_points(group=GROUP)
        if target not in entry_points.names:
            installed = ", ".join(sorted(entry_points.names)) or "none"
            raise InputError(
                f"{target!r} is not an entry point of the group {GROUP} (installed: {installed}); "
                f"{_FORMS}."
            )
        target = entry_points[target].value
    module, _, function = target.rpartition(":")
    if not module or module.startswith(".") or not function.isidentifier():
        raise InputError(f"{target!r} does not name a function; {_FORMS}.")
    return module, function


def is_own(target: str) -> bool:
    """Whether a name is that of a wavefunction of this package, without importing it."""
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

    The options of the package's builders are known without importing JAX. A plug-in is imported.
    """
    own = importlib.import_module(_OWN_OPTIONS).OPTIONS if is_own(target) else {}
    model = own.get(target) or options_model(target)
    if model is None:
        return None
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
        if key in options:
            raise InputError(f"--options has {key} twice; keep one.")
        options[key] = value
        with suppress(json.JSONDecodeError):
            options[key] = json.loads(value)
    return options


def option_defaults(target: str) -> dict[str, Any]:
    """Return the defaults of a builder's options that are numbers, text, flags or None."""
    options = builder_options(target) or {}
    return {name: value for name, value in options.items() if isinstance(value, _PLAIN)}


class _Parameters(Block):
    """Options of a plug-in without a model, taken from the parameters of its function."""

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())


def options_model(target: str) -> type[BaseModel] | None:
    """Return the model of a plug-in's options, None if it takes any (`**options`).

    It is the model `Options` of the module if there is one; otherwise it is made from the types and
    defaults of the function's parameters, except the first.
    """
    function, model = load_object(target), getattr(_load_module(target), "Options", None)
    if isinstance(model, type) and issubclass(model, BaseModel):
        return model
    parameters = list(_signature(target, function).parameters.values())[1:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    fields: dict[str, Any] = {}
    for one in parameters:
        if one.kind is not one.VAR_POSITIONAL:
            known = one.annotation is not one.empty and not isinstance(one.annotation, str)
            default = ... if one.default is one.empty else one.default
            fields[one.name] = (one.annotation if known else Any, default)
    with plugin_call(target, "reading its options"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about options named like a method of pydantic
        return create_model("Options", __base__=_Parameters, **fields)


def _signature(target: str, function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a plug-in's function, with evaluated annotations if possible."""
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # an annotation may be any expression, or have names for type checkers only
        try:
            return inspect.signature(function)
        except (TypeError, ValueError):
            raise InputError(
                f"{target} has no signature; write a function def name(spec, **options)."
            ) from None


def load_object(target: str) -> Callable[..., Any]:
    """Import the function that a name stands for.

    Raises:
        InputError: there is no such module, file or function, or the plug-in raises an error.
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
    name, _ = _split(target)
    with plugin_call(target, "importing it"):
        if path is not None:
            return _import_file(path)
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
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
