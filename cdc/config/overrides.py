"""Environment variables that override single fields: ``CDC_KAFKA__BOOTSTRAP_SERVERS``, ``CDC_SOURCES__shop__PORT``.

By hand and not by pydantic-settings, which cannot name an element of a list and passes over a variable that fits
nowhere: a misspelt override would go unnoticed.
"""

import copy
from collections.abc import Mapping
from typing import Any

import yaml

from cdc.config.models import Config
from cdc.config.problems import nearest

PREFIX = "CDC_"
_SCALARS = ("version", "metadata_namespace")


def apply_overrides(data: dict[str, Any], variables: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return a copy of the data with the overrides in it, and one line per variable that fits nowhere.

    Other variables that start with ``CDC_`` (secrets, CDC_CONFIG) have no ``__`` and are left alone.
    """
    result, problems = copy.deepcopy(data), []
    for name in sorted(variables):
        path = _path_of(name)
        if path:
            try:
                _set(result, path, _value(variables[name]))
            except ValueError as error:
                problems.append(f"{name}: {error}")
    return result, problems


def _path_of(variable: str) -> list[str]:
    if not variable.upper().startswith(PREFIX):
        return []
    path = variable[len(PREFIX) :].split("__")
    return path if len(path) > 1 or path[0].lower() in _SCALARS else []


def _value(text: str) -> Any:  # noqa: ANN401
    """Return lists, mappings and null as YAML reads them; other text as it is, for the field's own type to parse."""
    if text[:1] not in ("[", "{") and text not in ("null", "~"):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError("not a YAML list or mapping") from None


def _set(data: dict[str, Any], path: list[str], value: object) -> None:
    section = path[0].lower()
    if section not in Config.model_fields:
        raise ValueError(f"no such section; {nearest(section, Config.model_fields) or 'see docs/configuration.md'}")
    node: Any = data
    for index, part in enumerate(path):
        key = _key(node, part, path[:index])
        if index == len(path) - 1:
            node[key] = value
        else:
            node = _child(node, key)


def _child(node: Any, key: str | int) -> Any:  # noqa: ANN401
    if isinstance(node, dict) and node.get(key) is None:
        node[key] = {}
    if not isinstance(node[key], (dict, list)):
        raise ValueError(f"{key} is a plain value and has no fields")  # noqa: TRY004
    return node[key]


def _key(node: Any, part: str, parents: list[str]) -> str | int:  # noqa: ANN401
    if isinstance(node, list):
        return _position(node, part)
    known = {str(key).lower(): key for key in node}
    if part.lower() in known:
        return str(known[part.lower()])
    free = bool(parents) and parents[-1].lower() in ("properties", "connector")  # names of other systems: case matters
    return part if free else part.lower()


def _position(items: list[Any], part: str) -> int:
    names = [str(item.get("name", item.get("source", ""))) if isinstance(item, dict) else "" for item in items]
    lowered = [name.lower() for name in names]
    if part.lower() in lowered:
        return lowered.index(part.lower())
    if part.isdigit() and int(part) < len(items):
        return int(part)
    raise ValueError(f"nothing is named {part!r}; {nearest(part, names) or 'there are ' + ', '.join(names)}")
