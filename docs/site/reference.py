"""Parts of reference pages that come from the code: commands, keys of files, public Python names.

They need nothing but the standard library: the parser of `ferminet` imports its libraries only when
a command runs, and the JSON schemas lie in `workflow/schemas`.
"""

import argparse
import json
import re
from typing import Any

from docs.site.pages import ROOT, outside_code, sections
from ferminet.cli.main import make_parser

# The page whose sections list the public names; the site has a page for each section.
PYTHON_PAGE = "docs/reference/python.md"
_NAME = re.compile(r"`(ferminet(?:\.\w+)+)`")


def public_names() -> dict[str, list[str]]:
    """Return the public Python names by the sections of their page."""
    found = sections((ROOT / PYTHON_PAGE).read_text())
    return {title: list(dict.fromkeys(_NAME.findall(text))) for title, text in found.items()}


def linked(text: str) -> str:
    """Return the text of a page in which public names lead to their documentation."""
    public = {name for names in public_names().values() for name in names}

    def role(match: re.Match[str]) -> str:
        return f"{{py:obj}}{match[0]}" if match[1] in public else match[0]

    return outside_code(text, lambda part: _NAME.sub(role, part))


def table(head: list[str], lines: list[list[str]]) -> str:
    """Return a Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n"


def commands() -> str:
    """Return all commands of `ferminet` with their arguments."""
    (subparsers,) = (a for a in make_parser()._actions if isinstance(a.choices, dict))
    text = "\n## Arguments of each command\n"
    for name, parser in (subparsers.choices or {}).items():
        arguments = [action for action in parser._actions if action.dest != "help"]
        lines = [[_names(a), _meaning(a), _default(a)] for a in arguments]
        text += f"\n### `{name}`\n{parser.description}\n\n"
        text += table(["argument", "meaning", "default"], lines)
    return text


def _names(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    value += " ..." if action.nargs in ("*", "+") else ""
    if not action.option_strings:
        return f"`{action.metavar or action.dest}{' ...' if action.nargs in ('*', '+') else ''}`"
    return ", ".join(f"`{option} {value}`".replace(" `", "`") for option in action.option_strings)


def _meaning(action: argparse.Action) -> str:
    choices = f" (one of {', '.join(map(str, action.choices))})" if action.choices else ""
    return _literal((action.help or "").replace("%%", "%")) + choices


def _default(action: argparse.Action) -> str:
    if action.required:
        return "required"
    empty = action.default in (None, False, [], argparse.SUPPRESS)
    return "" if empty else f"`{action.default}`"


def _literal(text: str) -> str:
    """Return a text in which no character is markup."""
    return "".join(f"\\{c}" if c in "*_<>[]" else c for c in text)


def keys(name: str, title: str) -> str:
    """Return the keys of one kind of file as tables, from its JSON schema."""
    schema = json.loads((ROOT / "workflow" / "schemas" / f"{name}.schema.json").read_text())
    blocks = schema["$defs"]
    text = f"\n## {title}\n{_keys_of(schema, blocks)}"
    for block, content in sorted(blocks.items()):
        users = [
            f"`{key}`"
            for owner in (schema, *blocks.values())
            for key, value in owner["properties"].items()
            if f"#/$defs/{block}" in json.dumps(value)
        ]
        heading = ", ".join(dict.fromkeys(users)) if name == "study" else f"`{block}`"
        text += f"\n### Block {heading}\n{content['description']}\n\n{_keys_of(content, blocks)}"
    return text


def _keys_of(schema: dict[str, Any], blocks: dict[str, Any]) -> str:
    lines = []
    for key, value in schema["properties"].items():
        block = blocks.get(value.get("$ref", "").rpartition("/")[2], {})
        meaning = value.get("description") or block.get("description", "")
        default = value.get("default", "")
        if key in schema.get("required", ()):
            shown = "required"
        elif "$ref" in value or default == "":
            shown = ""
        else:
            shown = f"`{json.dumps(default)}`"
        lines.append([f"`{key}`", _kind(value), shown, _literal(meaning)])
    return table(["key", "kind", "default", "meaning"], lines)


def _kind(schema: dict[str, Any]) -> str:
    """Return what a value may be, in words."""
    for alternatives in ("anyOf", "oneOf"):
        if alternatives in schema:
            return " or ".join(dict.fromkeys(_kind(each) for each in schema[alternatives]))
    if "$ref" in schema:
        return "a block"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if "items" in schema else "list"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"names with {_kind(inner)}" if isinstance(inner, dict) else "keys and values"
    words = {
        "integer": "whole number", "number": "number", "string": "text", "boolean": "true or false",
        "null": "`null`",
    }  # fmt: skip
    kind = words.get(schema.get("type", ""), "`module:function` or `file.py:function`")
    return kind + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    """Return the limits of a number; those that only prevent overflow are left out."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    given = [f"{sign} {schema[k]:g}" for k, sign in signs.items() if schema.get(k, 2**31) < 2**24]
    return f" {', '.join(given)}" if given else ""
