"""Loading of the configuration: file, then environment overrides, then validation with secrets resolved."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cdc.config.document import HINT, read_document
from cdc.config.models import Config
from cdc.config.overrides import apply_overrides
from cdc.config.problems import nearest, problems_of
from cdc.config.values import Resolver
from cdc.core.errors import ConfigError


def load_config(
    path: Path, environ: Mapping[str, str] | None = None, only: Collection[str] | None = None, *, secrets: bool = True
) -> Config:
    """Return the configuration in the file, overridden by ``CDC_<SECTION>__<FIELD>`` variables.

    ``only`` keeps the sources of these names and drops the others unread, so that their secrets need not be there.
    Without ``secrets`` references are checked in form and resolve to nothing. Raises ConfigError listing every problem.
    """
    variables = os.environ if environ is None else environ  # noqa: TID251
    data, problems = apply_overrides(read_document(path), variables)
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


def _keep_sources(data: dict[str, Any], only: Collection[str], path: Path) -> None:
    listed = data.get("sources")
    if not isinstance(listed, list):
        return  # which the validation tells
    sources = [source for source in listed if isinstance(source, dict)]
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
