"""Value types of the configuration: secrets by reference, durations, sizes and table names."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, SecretStr, ValidationInfo, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cdc.core.names import TableName, parse_table_name

_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+)\s*([kmg]?)", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3}
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Resolver = Callable[[str, str], str]
"""Return the secret behind (kind, name); raises ValueError naming what is missing."""


class Secret:
    """A secret that is known by its reference; its value never appears in text."""

    __slots__ = ("reference", "value")

    def __init__(self, reference: str, value: SecretStr) -> None:
        self.reference = reference
        self.value = value

    @property
    def kind(self) -> str:
        """Return ``env`` or ``file``."""
        return self.reference[2:].partition(":")[0]

    @property
    def name(self) -> str:
        """Return the variable's name or the file's path."""
        return self.reference[2:-1].partition(":")[2]

    def reveal(self) -> str:
        """Return the secret itself; only for the call that needs it."""
        return self.value.get_secret_value()

    def __repr__(self) -> str:
        return f"Secret({self.reference})"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.with_info_plain_validator_function(
            cls._parse, serialization=core_schema.plain_serializer_function_ser_schema(lambda s: s.reference)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: object) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^\$\{(env|file):[^}]+\}$"}

    @classmethod
    def _parse(cls, raw: object, info: ValidationInfo) -> "Secret":
        if isinstance(raw, Secret):
            return raw
        match = _REFERENCE.fullmatch(raw) if isinstance(raw, str) else None
        if match is None:
            # its own kind of error, so that nobody prints what was given instead
            raise PydanticCustomError("secret", "must be a reference: ${env:NAME} or ${file:/run/secrets/name}")
        resolve: Resolver | None = (info.context or {}).get("resolve")
        value = resolve(match[1], match[2]) if resolve else ""
        return cls(match[0], SecretStr(value))


def _parse_duration(raw: object) -> object:
    duration = raw
    try:
        if isinstance(raw, (int, float)) and not isinstance(raw, bool):
            duration = timedelta(seconds=raw)
        elif isinstance(raw, str) and (match := _DURATION.fullmatch(raw.strip())):
            duration = timedelta(**{_UNITS[match[2]]: float(match[1])})
    except (OverflowError, ValueError):
        duration = None
    if isinstance(duration, timedelta) and timedelta(0) <= duration <= LONGEST:
        return duration
    raise ValueError("a duration is a number with a unit, up to ten years: 500ms, 10s, 5m, 2h or 7d")


LONGEST = timedelta(days=3653)
"""What is longer is a mistake, and overflows in other systems."""


def some_time(duration: timedelta) -> timedelta:
    """Return a duration that is longer than nothing; raises ValueError for one that is not."""
    if not duration:
        raise ValueError("must be longer than nothing")
    return duration


def _parse_size(raw: object) -> object:
    size = raw
    if isinstance(raw, str) and (match := _SIZE.fullmatch(raw.strip())):
        size = int(match[1][:20]) * 1024 ** _POWERS[match[2].lower()]
    if isinstance(size, int) and not isinstance(size, bool) and size < 1 << 50:
        return size
    raise ValueError("a size is a number of bytes, or one with a unit: 64k, 128m or 2g")


def _parse_settings(raw: object) -> object:
    if not isinstance(raw, dict):
        return raw
    return {key: _text(value) for key, value in raw.items()}


def _text(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value


def _parse_name(raw: object) -> object:
    if isinstance(raw, str):
        return parse_table_name(raw)
    if isinstance(raw, (tuple, list)) and len(raw) == 2:
        return TableName(*raw)
    raise ValueError('a table is named "namespace.table"')


Duration = Annotated[
    timedelta,
    BeforeValidator(_parse_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d)$", "examples": ["10s"]}),
]
"""A span of time, written ``500ms``, ``10s``, ``5m``, ``2h`` or ``7d``."""

Size = Annotated[
    int,
    BeforeValidator(_parse_size),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d+\s*[kmgKMG]?$"}],
            "examples": ["128m"],
        }
    ),
]
"""A number of bytes, written ``64k``, ``128m``, ``2g`` (powers of 1024) or plainly."""

QualifiedName = Annotated[
    TableName, BeforeValidator(_parse_name), WithJsonSchema({"type": "string", "examples": ["public.customers"]})
]
"""A table's name in its namespace, written ``namespace.table``."""

Settings = Annotated[
    dict[str, str],
    BeforeValidator(_parse_settings),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}),
]
"""Settings of another system, handed on as text; YAML's numbers and booleans are taken as they are written there."""
