"""The Python reference: the names of `docs/reference/python.md`, documented from their docstrings.

The sources are read, not imported, so that JAX is not needed. A name that does not exist, or has no
docstring, stops the build.
"""

import ast
import re
import textwrap
from collections.abc import Iterator

import griffe

from docs.site.pages import ROOT, site_name, slug
from docs.site.reference import PYTHON_PAGE, public_names

# Names that the package resolves when they are used, and where they are defined.
_LAZY = {"ferminet.load": "ferminet.stages.wavefunction.load"}


def pages() -> dict[str, str]:
    """Return one page for each section, by its name on the site.

    Raises:
        ValueError: a name does not exist, or has no docstring.
    """
    package = griffe.load("ferminet", search_paths=[str(ROOT)], allow_inspection=False)
    made = {}
    for title, names in public_names().items():
        text = f"# {title}\n\n"
        for name in names:
            text += _documented(package, name)
        made[f"reference/python/{slug(title)}.md"] = text
    return made


def _documented(package: griffe.Module, name: str) -> str:
    home = _LAZY.get(name, name)
    try:
        found = package[home.removeprefix("ferminet.")]
    except KeyError:
        raise ValueError(f"{PYTHON_PAGE} names {name}, which does not exist") from None
    if not isinstance(found, griffe.Function | griffe.Class):
        raise ValueError(f"{PYTHON_PAGE} names {name}, which is neither a function nor a class")
    path = found.module.relative_filepath.as_posix()
    source = f"[source](/{site_name(path)})\n"
    return "\n".join(_entry(found, name, name, source)) + "\n"


def _entry(
    found: griffe.Function | griffe.Class, name: str, shown: str, source: str = ""
) -> Iterator[str]:
    """Yield the lines of a function, or of a class with its fields and methods."""
    if found.docstring is None:
        raise ValueError(f"{name} has no docstring")
    signature = found.signature().removeprefix(found.name).replace("\n", " ")
    kind = "function" if shown == name else "method"
    if isinstance(found, griffe.Class):
        kind, signature = "class", signature.partition(" -> ")[0]
    fence = "`" * (8 if shown == name else 6)
    yield f"{fence}{{py:{kind}}} {shown}{signature}\n"
    described: dict[str, str] = {}
    for section in found.docstring.parse("google"):
        if section.kind is griffe.DocstringSectionKind.attributes:
            described |= {each.name: each.description for each in section.value}
        else:
            yield from _section(section)
    if isinstance(found, griffe.Class):
        yield from _fields(found, described)
        for method in found.functions.values():
            if not method.name.startswith("_"):
                yield from _entry(method, f"{name}.{method.name}", method.name)
    yield f"{source}{fence}\n"


def _section(section: griffe.DocstringSection) -> Iterator[str]:
    match section.kind:
        case griffe.DocstringSectionKind.text:
            yield _text(section.value) + "\n"
        case griffe.DocstringSectionKind.parameters:
            yield (
                "\n".join(f":param {p.name}: {_line(p.description)}" for p in section.value) + "\n"
            )
        case griffe.DocstringSectionKind.raises:
            lines = (f":raises {r.annotation}: {_line(r.description)}" for r in section.value)
            yield "\n".join(lines) + "\n"
        case griffe.DocstringSectionKind.returns:
            yield "\n".join(f":returns: {_line(r.description)}" for r in section.value) + "\n"
        case griffe.DocstringSectionKind.examples:
            for kind, text in section.value:
                is_code = kind is griffe.DocstringSectionKind.examples
                yield f"```pycon\n{text}\n```\n" if is_code else text + "\n"
        case _:
            raise ValueError(f"a docstring has an unknown section: {section.kind}")


def _fields(found: griffe.Class, described: dict[str, str]) -> Iterator[str]:
    """Yield the properties of a class, and the fields that its body declares with a type."""
    inside = [range(f.lineno or 0, (f.endlineno or 0) + 1) for f in found.functions.values()]
    fields = {
        field: described.get(field.name) or _meaning(field)
        for field in found.attributes.values()
        if field.annotation is not None
        and not field.name.startswith("_")
        and not any(field.lineno in lines for lines in inside)
    }
    if fields and not any(fields.values()):
        yield "Fields: " + ", ".join(f"`{f.name}: {f.annotation}`" for f in fields) + "\n"
        return
    for field, meaning in fields.items():
        kind = "property" if "property" in field.labels else "attribute"
        if kind == "property" and not meaning:
            raise ValueError(f"{field.path} has no docstring")
        value = _keyword("default", field.value) if field.value is not None else None
        shown = f"\n:value: {value}" if value else ""
        yield f"`````{{py:{kind}}} {field.name}\n:type: {field.annotation}{shown}\n"
        yield f"{_text(meaning)}\n`````\n"


def _meaning(field: griffe.Attribute) -> str:
    """Return the text below a field, in its `Field(description=...)`, or in its comment."""
    if field.docstring is not None:
        return textwrap.dedent(field.docstring.value)
    named = field.module.attributes.get(str(field.annotation))  # a type with a name of its own
    for source in (field.value, named.value if named else None):
        text = _keyword("description", source)
        if text and text != str(source):
            return ast.literal_eval(text)
    return field.source.partition("  # ")[2].strip()


def _keyword(name: str, source: object) -> str | None:
    """Return an argument of the call of pydantic's `Field` in an expression; else all of it."""
    text = str(source)
    if source is None or "Field(" not in text:
        return text
    keywords = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.keyword))
    return next((ast.unparse(each.value) for each in keywords if each.arg == name), None)


def _text(text: str) -> str:
    """Return the text of a docstring without HTML: <T> is an average."""
    return re.sub(r"`[^`]*`|<", lambda match: "\\<" if match[0] == "<" else match[0], text)


def _line(text: str) -> str:
    return _text(" ".join(text.split()))
