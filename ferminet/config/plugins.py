"""Finds the function that builds a wavefunction, named in a study by a person.

A name has one of three forms: ``module:function``, ``file.py:function``, or the name of an entry
point of the group ``ferminet.ansatz``. Nothing else is ever imported because a file says so: what
a file of results names is run only if it is part of this package (``is_own``).
"""

import ast
import difflib
import hashlib
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ferminet.errors import InputError

GROUP = "ferminet.ansatz"
# A module of the package's wavefunctions; one that is called "py" would be a file elsewhere.
_OWN = re.compile(r"ferminet\.ansatz\.(?!py:)[a-z_]+:build")
_FORMS = "write module:function, file.py:function or the name of an entry point"


def _split(target: str) -> tuple[str, str]:
    """Splits ``module:function``, looking entry points up first."""
    if ":" not in target:
        entry_points = importlib.metadata.entry_points(group=GROUP)
        if target not in entry_points.names:
            known = f" (installed: {', '.join(sorted(entry_points.names))})"
            known = known if entry_points.names else ""
            if target.endswith(".py"):
                raise InputError(f"{target!r} names no function; write {target}:build.")
            raise InputError(f"{target!r} is no entry point of the group {GROUP}{known}; {_FORMS}.")
        target = entry_points[target].value
    module, _, function = target.rpartition(":")
    if not module or not function.isidentifier():
        raise InputError(f"{target!r} does not name a function; {_FORMS}.")
    return module, function


def is_own(target: str) -> bool:
    """Whether a name is that of a wavefunction of this package; nothing is imported to find out."""
    return _OWN.fullmatch(target) is not None


def plugin_file(target: str) -> Path | None:
    """The file of a ``file.py:function`` name, None for installed modules.

    Raises:
        InputError: the name has no valid form, or there is no such file.
    """
    module, _ = _split(target)
    if not module.endswith(".py"):
        return None
    path = Path(module)
    if not os.path.isfile(path):
        raise InputError(
            f"the plug-in file {path} does not exist (seen from {Path.cwd()}); correct its path."
        )
    return path


def plugin_digest(target: str) -> str | None:
    """SHA-256 of a plug-in file's content, None for installed modules."""
    path = plugin_file(target)
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


def _source_file(module: str) -> Path | None:
    """Where a module's source lies, found without importing it or its packages."""
    top, *parts = module.split(".")
    # find_spec imports the parents of a dotted name, and nothing for a plain one.
    spec = importlib.util.find_spec(top) if top else None
    for part in parts:
        if spec is None:
            return None
        folders = list(spec.submodule_search_locations or [])
        spec = importlib.machinery.PathFinder.find_spec(f"{spec.name}.{part}", folders)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def option_names(target: str) -> list[str] | None:
    """Names of the options that a builder takes, read from its source without running it.

    A misspelt option is thus refused before the first job starts, and without importing JAX.

    Args:
        target: name of a builder ``build(spec, **options)``.

    Returns:
        The names of its parameters but the first; None if it takes any (``**options``), or if it
        is not a plain function of that file, so that only calling it can tell.

    Raises:
        InputError: there is no such file, module or function, or the source cannot be parsed.
    """
    definition = _definition(target)
    if definition is None or definition.args.kwarg is not None:
        return None
    return [argument.arg for argument in _parameters(definition)]


def option_defaults(target: str) -> dict[str, Any]:
    """Defaults of a builder's options, read from its source without running it.

    Args:
        target: name of a builder ``build(spec, **options)``.

    Returns:
        Option -> default, of those whose default is written out as a value.

    Raises:
        InputError: as `option_names`.
    """
    definition = _definition(target)
    if definition is None:
        return {}
    arguments = definition.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [
        *zip(
            positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True
        ),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return {
        argument.arg: ast.literal_eval(value)
        for argument, value in pairs
        if isinstance(value, ast.Constant | ast.UnaryOp)
    }


@cache
def _parsed(source: str) -> ast.Module:
    """Every run of a study asks for the same few sources."""
    return ast.parse(source)


def _parameters(definition: ast.FunctionDef) -> list[ast.arg]:
    """A builder's parameters but the first."""
    arguments = definition.args
    return [*[*arguments.posonlyargs, *arguments.args][1:], *arguments.kwonlyargs]


def _definition(target: str) -> ast.FunctionDef | None:
    """Where the source defines a builder; None if it is no plain function of that file."""
    module, function = _split(target)
    path = plugin_file(target) or _source_file(module)
    if path is None:
        raise InputError(
            f"there is no Python source of a module {module!r} for {target!r}; {_FORMS}."
        )
    try:
        tree = _parsed(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise InputError(f"the plug-in {path} is not valid Python: {error}.") from None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return node
    names = _bound_names(tree)
    if function not in names and "*" not in names:
        functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        near = difflib.get_close_matches(function, functions, n=1)
        hint = f"did you mean {near[0]}?" if near else f"{_FORMS}."
        raise InputError(f"{module} has no function {function!r}; {hint}")
    return None


def _bound_names(tree: ast.Module) -> set[str]:
    """All names that a source binds anywhere, more than the module has; "*" if it imports all."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _import_file(path: Path) -> ModuleType:
    # The digest in the name keeps two plug-ins of the same file name apart.
    name = f"ferminet_plugin_{path.stem}_{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"the plug-in {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def load_object(target: str) -> Callable[..., Any]:
    """Imports the function that ``target`` names.

    Args:
        target: ``module:function``, ``file.py:function``, or an entry point of ``ferminet.ansatz``.

    Returns:
        The function.

    Raises:
        InputError: there is no such module, file or function; errors raised by the plug-in's own
            code pass through with their traceback, since its author needs it.
    """
    module_name, function = _split(target)
    path = plugin_file(target)
    if path is not None:
        module = _import_file(path)
    else:
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not module_name.startswith(error.name):
                raise  # the module exists and lacks a dependency of its own
            raise InputError(f"there is no Python module {module_name!r}; {_FORMS}.") from None
    found = getattr(module, function, None)
    if not callable(found):
        raise InputError(f"{module_name} has no function {function!r}.")
    return found
