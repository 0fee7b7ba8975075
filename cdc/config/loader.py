"""Loading of the configuration: file, then environment overrides, then validation with secrets resolved."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cdc.config.models import Config
from cdc.config.overrides import apply_overrides
from cdc.config.problems import nearest, problems_of
from cdc.config.values import Resolver
from cdc.core.errors import ConfigError

HINT = "docs/configuration.md lists every field; `cdc config check` tries a change without running anything"


def load_config(
    path: Path, environ: Mapping[str, str] | None = None, only: Collection[str] | None = None, *, secrets: bool = True
) -> Config:
    """Return the configuration in the file, overridden by ``CDC_<SECTION>__<FIELD>`` variables.

    ``only`` keeps the sources of these names and drops the others unread, so that their secrets need not be there.
    Without ``secrets`` references are checked in form and resolve to nothing. Raises ConfigError listing every problem.
    """
    variables = os.environ if environ is None else environ  # noqa: TID251
    data, problems = apply_overrides(_read(path), variables)
    if problems:
        raise _failure(path, problems)
    if only is not None:
        _keep_sources(data, only, path)
    try:
        return Config.model_validate(data, context={"resolve": _resolver(variables) if secrets else None})
    except ValidationError as error:
        raise _failure(path, problems_of(error, data)) from None  # the original prints inputs, secrets among them


def _failure(path: Path, problems: list[str]) -> ConfigError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return ConfigError("\n  ".join([f'configuration "{path}" has {count}:', *problems]), hint=HINT)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        hint = "name the file with --config or CDC_CONFIG; `cdc init postgres://user@host/database` writes one"
        raise ConfigError(f'configuration "{path}" does not exist', hint=hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'could not read configuration "{path}": {error}') from error
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f'configuration "{path}" is not YAML: {_yaml_problem(error)}', hint=HINT) from None
    except yaml.YAMLError as error:
        raise ConfigError(f'configuration "{path}" is not YAML: {error}', hint=HINT) from None
    if not isinstance(data, dict):
        raise ConfigError(f'configuration "{path}" is not a mapping of sections', hint=HINT)
    return data


def _yaml_problem(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{place}{error.problem or error.context}"


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader for which a key given twice is an error, not a silent replacement."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"key {key.value!r} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _keep_sources(data: dict[str, Any], only: Collection[str], path: Path) -> None:
    sources = [source for source in data.get("sources") or [] if isinstance(source, dict)]
    names = [str(source.get("name")) for source in sources]
    for name in only:
        if name not in names:
            hint = nearest(name, names) or f"the file has: {', '.join(names)}"
            raise ConfigError(f'configuration "{path}" has no source "{name}"', hint=hint)
    data["sources"] = [source for source in sources if source.get("name") in only]


def _resolver(variables: Mapping[str, str]) -> Resolver:
    def resolve(kind: str, name: str) -> str:
        value = _from_file(name) if kind == "file" else variables.get(name, "")
        if not value:
            raise ValueError(f"file {name!r} is empty" if kind == "file" else f"environment variable {name} is not set")
        return value

    return resolve


def _from_file(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8").rstrip("\r\n")
    except FileNotFoundError:
        raise ValueError(f"file {name!r} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"file {name!r} cannot be read: {type(error).__name__}") from None
