"""The configuration file as YAML: read whole, or refused with the place where it cannot be."""

from pathlib import Path
from typing import Any

import yaml

from cdc.core.errors import ConfigError

HINT = "docs/configuration.md lists every field; `cdc config check` tries a change without running anything"

LARGEST = 1_000_000
"""So many values no configuration has."""

DEEPEST = 100
"""So deep nothing in a configuration lies."""

_QUOTES = "put it in quotes if it is text"


def read_document(path: Path) -> dict[str, Any]:
    """Return the sections of the file; raises ConfigError for one that cannot be read, or is no mapping."""
    data = _parsed(path, _text(path))
    if data is None:
        raise ConfigError(f'configuration "{path}" is empty', hint="config/minimal.yaml is one to start from")
    if not isinstance(data, dict):
        raise ConfigError(f'configuration "{path}" is not a mapping of sections', hint=HINT)
    if not _finite(data):
        what = f'configuration "{path}" refers to itself, or is far too large with its anchors written out'
        raise ConfigError(what, hint="use anchors and aliases for plain parts only")
    return data


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        hint = "name the file with --config or CDC_CONFIG; `cdc init postgres://user@host/database` writes one"
        raise ConfigError(f'configuration "{path}" does not exist', hint=hint) from None
    except IsADirectoryError:
        raise ConfigError(f'configuration "{path}" is a folder', hint="name the file in it with --config") from None
    except UnicodeDecodeError as error:
        what = f'configuration "{path}" is not UTF-8: byte {error.start} is not text'
        raise ConfigError(what, hint="save it as UTF-8") from None
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        what = f'could not read configuration "{path}": {said}'
        raise ConfigError(what, hint="check the path and the rights on it") from error


def _parsed(path: Path, text: str) -> object:
    try:
        if _too_deep(text):
            raise ConfigError(f'configuration "{path}" is nested too deeply', hint=HINT)
        return yaml.load(text, _LOADER)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f'configuration "{path}" is not YAML: {_yaml_problem(error)}', hint=HINT) from None
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise ConfigError(f'configuration "{path}" is not YAML: {said}', hint=HINT) from None
    except ValueError as error:  # a date or a number that is none, in the form of one
        raise ConfigError(f'configuration "{path}" has a value that cannot be read: {error}', hint=_QUOTES) from None


def _too_deep(text: str) -> bool:
    """Return whether parts lie in one another more than `DEEPEST`: a parser by C has no bound, and would end us."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            return True
    return False


def _finite(data: object) -> bool:
    """Return whether values that aliases share are still few when each is written out."""
    sizes: dict[int, int] = {}

    def size(node: object) -> int:
        if not isinstance(node, (dict, list)):
            return 1
        if id(node) not in sizes:
            sizes[id(node)] = LARGEST  # for whoever comes here again from inside
            parts = node.values() if isinstance(node, dict) else node
            sizes[id(node)] = 1 + sum(map(size, parts))
        return min(sizes[id(node)], LARGEST)

    return size(data) < LARGEST


def _yaml_problem(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{place}{error.problem or error.context}"


class _UniqueKeys(yaml.constructor.SafeConstructor):
    """Constructs plain values; a key given twice is an error, not a silent replacement."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"key {key.value!r} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_LOADER: Any = type("_Loader", (_UniqueKeys, getattr(yaml, "CSafeLoader", yaml.SafeLoader)), {})
"""By C where that can be: a service reads its configuration again and again."""
