"""YAML read strictly: safe tags only, no repeated keys, no anchors, `1e-3` is a number."""

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
        anchor = event.anchor  # an alias has one too
        if anchor is not None:
            problem = (
                f"anchors and aliases (&{anchor}, *{anchor}) are not used here, write the value "
                "where it is meant"
            )
            raise ConstructorError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        keys = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            problem = None
            if not isinstance(key, Hashable):
                problem = "a key is text or a number, not a block"
            elif key in keys:
                problem = f"the key {key!r} is given twice"
            if problem is not None:
                raise ConstructorError(None, None, problem, key_node.start_mark)
            keys.add(key)
        return super().construct_mapping(node, deep=deep)


# YAML 1.1 reads `1e-3` and `1.e5` as text because it wants a dot and a signed exponent.
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def read_text(path: str | Path) -> str:
    """Read a text file in UTF-8 of at most 1 MB, or raise InputError."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > SIZE_LIMIT_BYTES:
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
    """Read a YAML file whose top level is a mapping with text keys.

    Raises:
        InputError: the file is wrong; the sentence names the line.
    """
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
