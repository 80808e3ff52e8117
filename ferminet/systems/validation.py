"""Strict models of input files, and one sentence for the first thing that is wrong with a file."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from ferminet.errors import InputError

ModelT = TypeVar("ModelT", bound=BaseModel)
# Phrases of pydantic, and plain English for them.
_PHRASES = {
    r"Input should be": "it must be",
    r"(List|Tuple|String|Dictionary) should": "it must",
    r" after validation": "",
    r"Input tag .* found using '(\w+)' .* expected tags: ": r"its \1 must be one of ",
    r"Unable to extract tag using discriminator": "it needs the key",
    r"a valid integer": "a whole number",
    r"a valid string": "text",
    r"have at least 1 character": "not be empty",
    r"a valid boolean": "true or false",
    r"a (valid )?dictionary.*": "a block of keys",
    r"a valid (tuple|list)": "a list",
    r"a valid (\w+)": r"a \1",
    r"greater than or equal to": "at least",
    r"less than or equal to": "at most",
    r"'": "",
}


class Block(BaseModel):
    """Strict: no unknown key, no conversion of types, no value that is not finite.

    The docstring under a field is its description in schemas and messages.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
    )


@contextmanager
def prefix_errors(where: object) -> Iterator[None]:
    """Prefix the message of every InputError in the block with where it occurred."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def validate(model: type[ModelT], content: Any) -> ModelT:
    """Validate plain values, such as those of a YAML file.

    Raises:
        InputError: the values do not fit the model; the sentence names the first wrong key.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # A misspelt key is the likely cause of a missing one, so it is reported first.
        problems = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        raise InputError(_sentence(model, problems[0])) from None


def _sentence(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    key, owner = _locate(model, problem["loc"])
    kind, got, fields = problem["type"], problem["input"], owner.model_fields if owner else {}
    last = str(problem["loc"][-1]) if problem["loc"] else ""
    description = (fields[last].description if last in fields else None) or "add it."
    description = " ".join((description[0].lower() + description[1:]).split())
    shown = repr(got) if len(repr(got)) <= 60 else repr(got)[:57] + "..."
    if kind == "extra_forbidden":
        return f"unknown key {key}; {nearest(last, fields)}"
    if kind == "missing":
        return f"{'' if key.endswith(']') else 'the key '}{key} is missing; {description}"
    if kind == "string_pattern_mismatch":
        return f"{key} is {shown}; {description}"
    if kind == "value_error":
        text = str(problem["ctx"]["error"])
        return f"{key}: {text}" if key else text
    requirement = problem["msg"]
    for phrase, plain in _PHRASES.items():
        requirement = re.sub(phrase, plain, requirement)
    if kind == "string_type" and isinstance(got, bool):
        requirement += "; put it in quotes, since YAML reads yes, no, on and off as true and false"
    if kind in ("int_type", "int_from_float") and isinstance(got, float) and got.is_integer():
        requirement += f"; write {int(got)}"
    return f"{key or 'the file'} is {shown}; {requirement}."


def _locate(model: type[BaseModel], location: Iterable[Any]) -> tuple[str, type[BaseModel] | None]:
    """Return a key as text, such as systems[2].name, and the model that it belongs to."""
    text, owner, inside = "", model, [model]
    for part in location:
        # The location contains the value that selects a member of a union, which is not a key.
        required = [(m, f) for m in inside for f in m.model_fields.values() if f.is_required()]
        chosen = [m for m, f in required if len(inside) > 1 and part in get_args(f.annotation)]
        if chosen or part == "[key]":
            inside = chosen or inside
        elif isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}"
            owner = inside[0] if inside else None
            field = owner.model_fields.get(part) if owner else None
            inside = _models_in(field.annotation) if field else inside
    return text.lstrip("."), owner


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models named in a type such as `list[Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for argument in get_args(annotation) for m in _models_in(argument)]


def nearest(
    word: str, allowed: Iterable[str], otherwise: str | None = None, cutoff: float = 0.6
) -> str:
    """Return the end of a sentence: the nearest allowed word, else `otherwise`, else all words."""
    names = sorted(set(allowed))
    if not names:
        return "there is none to choose from."
    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=cutoff)
    if near:
        return f"did you mean {lowered[near[0]]}?"
    return otherwise or f"choose one of {', '.join(names)}."


def among(labels: Iterable[str]) -> str:
    """Return labels of a grid in their order, abbreviated if there are many."""
    names = list(labels)
    if not names:
        return "there is none to choose from."
    if len(names) > 8:
        names = [*names[:3], "...", *names[-2:]]
    return f"choose one of {', '.join(names)}."
