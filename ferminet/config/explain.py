"""Turns a failed validation into one sentence: the key, what was got, what is allowed."""

import types
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ferminet.errors import InputError
from ferminet.systems.suggestions import nearest

ModelT = TypeVar("ModelT", bound=BaseModel)

# What a value must be, by pydantic's error type; {} are the limits that the error carries.
_REQUIREMENTS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a block of keys",
    "model_type": "a block of keys",
    "model_attributes_type": "a block of keys",
    "literal_error": "{expected}",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "a list with at least {min_length} entries",
}


def validate(model: type[ModelT], content: Any) -> ModelT:
    """Validates plain values.

    Args:
        model: what they should be.
        content: what they are, e.g. from a YAML file.

    Raises:
        InputError: they are not that; the sentence names the first wrong key.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # A misspelt key is the likely cause of a missing one, so it is told first.
        problems = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        raise InputError(_sentence(model, problems[0])) from None


def _sentence(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    location = [part for part in problem["loc"] if part != "[key]"]
    key = _dotted(location)
    kind, got = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        word = str(location[-1])
        return f"unknown key {key}; {nearest(word, _fields_at(model, location[:-1]))}"
    if kind == "missing":
        return f"the key {key} is missing; {_description(model, location)}"
    if kind == "value_error":
        text = str(problem["ctx"]["error"])
        return f"{key}: {text}" if key else text
    requirement = _REQUIREMENTS.get(kind)
    if requirement is None:
        return f"{key} is {_shown(got)}: {problem['msg']}."
    requirement = requirement.format(**problem.get("ctx", {})).replace("'", "")
    if kind == "string_type" and isinstance(got, bool):
        requirement += "; put it in quotes, since YAML reads yes, no, on and off as true and false"
    if kind in ("int_type", "int_from_float") and isinstance(got, float) and got.is_integer():
        requirement += f"; write {int(got)}"
    return f"{key or 'the file'} is {_shown(got)}; it must be {requirement}."


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _dotted(location: Iterable[Any]) -> str:
    """("systems", 2, "name") -> systems[2].name."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models named in a type such as ``list[Model] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (list, dict, Union, types.UnionType):
        return [m for argument in get_args(annotation) for m in _models_in(argument)]
    return []


def _model_at(model: type[BaseModel], location: Iterable[Any]) -> type[BaseModel] | None:
    found: type[BaseModel] | None = model
    for part in location:
        if found is not None and part in found.model_fields:
            models = _models_in(found.model_fields[part].annotation)
            found = models[0] if models else None
        # Otherwise the part is an index of a list or a key of a mapping of models.
    return found


def _fields_at(model: type[BaseModel], location: Iterable[Any]) -> list[str]:
    found = _model_at(model, location)
    return list(found.model_fields) if found is not None else []


def _description(model: type[BaseModel], location: list[Any]) -> str:
    found = _model_at(model, location[:-1])
    field = found.model_fields.get(location[-1]) if found is not None else None
    text = field.description if field is not None and field.description else "add it."
    return text[0].lower() + text[1:]
