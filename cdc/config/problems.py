"""What is wrong with a configuration, in words: path, cause, value (never a secret) and what would be right."""

import difflib
import re
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cdc.config.models import Config

_SENSITIVE = re.compile(r"passw|secret|token|credential|private|key_?file", re.IGNORECASE)
_PLAIN = {
    "missing": "is missing",
    "string_type": "must be text",
    "model_type": "must be a mapping of fields",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_parsing": "must be true or false",
    "recursion_loop": "refers to itself",
    "invalid_key": "must be a name",
    "model_attributes_type": "must be a mapping of fields",
}


def problems_of(error: ValidationError, data: object) -> list[str]:
    """Return one line per problem: ``sources[0].tables[1].key: what is wrong (got value)``."""
    details = error.errors(include_url=False)
    return [line for detail in details if not _follows(detail, details) for line in _problem(detail, data)]


def nearest(name: str, names: Iterable[str]) -> str:
    """Return "did you mean .." for the most similar name, or nothing."""
    close = difflib.get_close_matches(name.lower(), list(names), n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else ""


def sections_in(annotation: object) -> list[type[BaseModel]]:
    """Return the models that an annotation allows, through optionals, unions and tuples."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for argument in get_args(annotation) for section in sections_in(argument)]


def kind_of(section: type[BaseModel]) -> str | None:
    """Return the value of ``type`` that selects this section among its alternatives."""
    field = section.model_fields.get("type")
    return str(field.default) if field else None


def _follows(detail: ErrorDetails, details: list[ErrorDetails]) -> bool:
    """Whether a list is only "too short" because its items are wrong, which is told already."""
    loc = detail["loc"]
    inside = any(other["loc"][: len(loc)] == loc and len(other["loc"]) > len(loc) for other in details)
    return detail["type"] == "too_short" and inside


def _problem(detail: ErrorDetails, data: object) -> list[str]:
    path = _path(detail["loc"], data)
    return [f"{path}: {line}{_got(detail)}" for line in _what(detail).splitlines()]


def _path(loc: tuple[int | str, ...], data: object) -> str:
    path = ""
    for part in loc:
        if isinstance(data, dict) and part not in data and data.get("type") == part:
            continue  # pydantic names the chosen alternative of a union; the file does not
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
        data = data.get(part) if isinstance(data, dict) else _item(data, part)
    return path.lstrip(".") or "the file"


def _item(data: object, part: int | str) -> object:
    return data[part] if isinstance(data, list) and isinstance(part, int) and part < len(data) else None


def _what(detail: ErrorDetails) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"unknown field; {_suggestion(detail['loc'])}"
    if kind == "union_tag_not_found":
        return f"type is missing; it must be one of {_kinds(detail['loc'])}"
    if kind == "union_tag_invalid":
        return f"type must be one of {detail['ctx']['expected_tags']}"
    if kind == "missing":
        return f"is missing; {_meaning(detail['loc'])}"
    return _PLAIN.get(kind) or detail["msg"].removeprefix("Value error, ").replace("Input should", "must").replace(
        "String should", "must"
    )


def _kinds(loc: tuple[int | str, ...]) -> str:
    return ", ".join(repr(kind_of(section)) for section in _sections_at((*loc, "")))


def _suggestion(loc: tuple[int | str, ...]) -> str:
    names = [name for section in _sections_at(loc) for name in section.model_fields]
    return nearest(str(loc[-1]), names) or f"known are {', '.join(dict.fromkeys(names))}"


def _meaning(loc: tuple[int | str, ...]) -> str:
    for section in _sections_at(loc):
        if (field := section.model_fields.get(str(loc[-1]))) and field.description:
            return field.description.rstrip(".")
    return "it has no default"


def _sections_at(loc: tuple[int | str, ...]) -> list[type[BaseModel]]:
    """Return the models that the last part of ``loc`` may be a field of."""
    sections: list[type[BaseModel]] = [Config]
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        chosen = [section for section in sections if kind_of(section) == part]
        fields = [section.model_fields[part] for section in sections if part in section.model_fields]
        sections = chosen or [found for field in fields for found in sections_in(field.annotation)]
    return sections


def _got(detail: ErrorDetails) -> str:
    value: Any = detail["input"]
    hidden = detail["type"] in {"missing", "extra_forbidden", "secret"} or isinstance(value, (dict, list, tuple))
    if hidden or any(_SENSITIVE.search(str(part)) for part in detail["loc"]):
        return ""
    return f" (got {_shown(value)})"


def _shown(value: object) -> str:
    """Return a value as it was given; what may be a password in an address is not shown, and what is long is cut."""
    if isinstance(value, str) and (_SENSITIVE.search(value) or re.search(r":[^/\s]+@", value)):
        return "what may hold a secret"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}.."
