"""The connector templates: YAML with an explanation beside each setting, read and filled in."""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from cdc.core.errors import ConfigError

_SHIPPED = "put the file back as it came with this version"
FOLDER = Path(__file__).resolve().parents[2] / "connectors"


_PLACEHOLDER = re.compile(r"\$\{([a-z_]+)\}")
"""Not Connect's own ``${env:NAME}``, which is text here."""


def filled(name: str, values: Mapping[str, str], folder: Path = FOLDER) -> dict[str, str]:
    """Return the settings of the template ``name``, placeholders replaced; raises ConfigError naming what is wrong."""
    path = folder / f"{name}.yaml"
    settings = _settings(path)
    try:
        return {key: _PLACEHOLDER.sub(lambda m: values[m[1]], text) for key, text in settings.items()}
    except KeyError as error:
        raise ConfigError(f"template {path} uses the unknown placeholder {error.args[0]!r}", hint=_SHIPPED) from error


def _settings(path: Path) -> dict[str, str]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"could not read connector template {path}: {error}", hint=_SHIPPED) from error
    if not isinstance(loaded, dict) or not all(isinstance(v, str) for v in loaded.values()):
        raise ConfigError(
            f"connector template {path} is not a mapping of names to text (quote numbers and true/false)", hint=_SHIPPED
        )
    return loaded
