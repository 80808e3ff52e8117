"""YAML read strictly: safe tags only, no repeated keys, no anchors, numbers as in YAML 1.2."""

import re
from collections.abc import Hashable
from pathlib import Path

import yaml
from yaml.constructor import ConstructorError

from ferminet.errors import InputError

SIZE_LIMIT_BYTES = 1_000_000


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, made stricter where YAML is silently lenient."""

    def compose_node(self, parent, index):  # pyright: ignore[reportIncompatibleMethodOverride]
        event = self.peek_event()
        if event.anchor is not None:  # an alias has one too
            raise _error(
                f"anchors and aliases (&{event.anchor}, *{event.anchor}) are not used here, write "
                "the value where it is meant",
                event,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        keys = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise _error("a key is text or a number, not a block", key_node)
            if key in keys:
                raise _error(f"the key {key!r} is given twice", key_node)
            keys.add(key)
        return super().construct_mapping(node, deep=deep)


def _error(problem: str, node: yaml.Event | yaml.Node) -> ConstructorError:
    return ConstructorError(None, None, problem, node.start_mark)


# Numbers as in YAML 1.2, where `1e-3` is one. YAML 1.1 reads it as text, but `1:30` as 90, `010` as
# 8 and `2026-01-31` as a date; here these are text.
_NUMBERS = {
    r"[-+]?(0|[1-9][0-9_]*)": "int",
    r"[-+]?(([0-9][0-9_]*\.[0-9_]*|\.[0-9]+)(e[-+]?[0-9]+)?|[0-9]+e[-+]?[0-9]+)": "float",
    r"[-+]?\.inf|\.nan": "float",
}
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in known if tag.endswith((":bool", ":null"))]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _form, _type in _NUMBERS.items():
    _regexp = re.compile(f"^({_form})$", re.IGNORECASE)
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_type}", _regexp, [*"-+.0123456789"])


def read_text(path: str | Path) -> str:
    """Read a text file in UTF-8 of at most 1 MB, or raise InputError."""
    path = Path(path)
    try:
        if (size := path.stat().st_size) > SIZE_LIMIT_BYTES:
            raise InputError(
                f"{path}: the file has {size} bytes, input files have at most "
                f"{SIZE_LIMIT_BYTES}; is it the right one?"
            )
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read from {Path.cwd()} ({error.strerror}); check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a text file in UTF-8; check the path.") from error


def load_mapping(path: str | Path) -> dict[str, object]:
    """Read a YAML file whose top level is a mapping with text keys; errors name the line."""
    text = read_text(path)
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason, line = (str(error) or type(error).__name__).splitlines()[0], ""
        if isinstance(error, yaml.MarkedYAMLError):
            reason = str(error.problem)
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: the YAML cannot be read: {reason}.") from error
    if content is None:
        raise InputError(f"{path} is empty; write lines of the form `key: value`.")
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f"{path}: expected lines of the form `key: value` at the top level.")
    return content
