"""YAML read strictly: safe tags only, no repeated keys, no anchors, `1e-3` is a number."""

import re
from collections.abc import Hashable
from pathlib import Path

import yaml

from ferminet.errors import InputError

SIZE_LIMIT_BYTES = 1_000_000


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, made stricter where YAML is silently lenient."""

    def compose_node(self, parent, index):  # pyright: ignore[reportIncompatibleMethodOverride]
        event = self.peek_event()
        if event.anchor is not None:  # an alias's, too
            names = f"&{event.anchor}, *{event.anchor}"
            raise _refusal(
                f"anchors and aliases ({names}) are not used here, write the value where it is "
                "meant",
                event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise _refusal("a key is text or a number, not a block", key_node.start_mark)
            if key in seen:
                raise _refusal(f"the key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


# YAML 1.1 reads `1e-3` and `1.e5` as text because it wants a dot and a signed exponent.
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def _refusal(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, mark)


def read_text(path: str | Path) -> str:
    """Read a small text file.

    Raises:
        InputError: it is missing, unreadable, larger than 1 MB or not UTF-8.
    """
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
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a text file in UTF-8; check the path.") from error


def load_mapping(path: str | Path) -> dict[str, object]:
    """Read a YAML file whose top level is a mapping with text keys.

    Raises:
        InputError: the file cannot be read, is no valid YAML, repeats a key, uses an anchor or
            a tag, or is not a mapping; the sentence names the line.
    """
    text = read_text(path)
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise InputError(f"{where}: the YAML cannot be read: {error.problem}.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: the YAML cannot be read: {reason}.") from error
    if content is None:
        raise InputError(f"{path} is empty; write lines of the form `key: value`.")
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f"{path}: expected lines of the form `key: value` at the top level.")
    return content
