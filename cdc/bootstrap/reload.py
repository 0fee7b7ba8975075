"""Another configuration while the service runs: the sources' tables are taken up, of everything else it is told."""

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from cdc.config.models import Config
from cdc.config.sources import SourceConfig
from cdc.core.errors import CdcError

log = structlog.get_logger()

TAKEN_UP = ("tables", "snapshot")
"""Fields of a source that a running pipeline follows."""

_PATIENCE = 0.5


class Reloader:
    """Follows the configuration; what is wrong with one is logged once, and the former goes on to hold.

    ``reload`` returns the configuration as it is now or raises ConfigError; ``take_up`` hands a source with its new
    tables, in a configuration where nothing else differs, to its pipeline, and may raise CdcError: then it is tried
    again the next time. ``looked`` is told after each look which configuration holds.
    """

    def __init__(
        self,
        config: Config,
        reload: Callable[[], Config],
        take_up: Callable[[Config, SourceConfig], None],
        looked: Callable[[Config], None] = lambda _config: None,
    ) -> None:
        self._config = config
        self._reload = reload
        self._take_up = take_up
        self._looked = looked
        self._told: set[str] = set()

    def run(self, ended: threading.Event, now: threading.Event, interval: float) -> None:
        """Look every ``interval`` seconds, and at once when ``now`` is set, until ``ended``."""
        due = time.monotonic() + interval
        while not ended.is_set():
            if now.wait(_PATIENCE) or time.monotonic() >= due:
                now.clear()
                try:
                    self.look()
                except Exception:  # a mistake of ours must not end what follows the configuration
                    log.exception("configuration not followed")
                due = time.monotonic() + interval

    def look(self) -> None:
        """Compare the configuration with the one that holds, and take up what can be."""
        told: set[str] = set()
        try:
            new = self._reload()
        except CdcError as error:
            self._tell(told, "configuration not taken up", error)
        except Exception as error:  # noqa: BLE001 - a broken file must not end what runs
            self._tell(told, "configuration not taken up", error)
        else:
            self._warn(told, needs_restart(self._config, new))
            self._follow(told, new)
        self._told = told
        self._looked(self._config)

    def _follow(self, told: set[str], new: Config) -> None:
        merged = with_tables(self._config, new)
        twice = _targets_used_twice(merged)
        if twice:
            self._warn(told, [f"target {name}, which two sources would write to" for name in twice])
            return
        for old, source in zip(self._config.sources, merged.sources, strict=True):
            if _dump(old) == _dump(source):
                continue
            try:
                one = with_source(self._config, source)
                self._take_up(one, source)
            except Exception as error:  # noqa: BLE001 - the pipelines go on as they are
                self._tell(told, f"configuration of source {source.name!r} not taken up", error)
            else:
                self._config = one
                log.info("configuration taken up", pipeline=source.name, tables=len(source.tables))

    def _tell(self, told: set[str], event: str, error: Exception) -> None:
        text = f"{event}: {error}"
        told.add(text)
        if text not in self._told:
            known = isinstance(error, CdcError)
            hint = error.hint if isinstance(error, CdcError) else "this is a bug: please report the traceback"
            log.error(event, error=str(error), hint=hint, exc_info=None if known else error)

    def _warn(self, told: set[str], sections: list[str]) -> None:
        text = ", ".join(sections)
        told.add(text)
        if text and text not in self._told:
            log.warning("configuration needs a restart", sections=sections)


def needs_restart(old: Config, new: Config) -> list[str]:
    """Return what differs between two configurations and is not taken up while the service runs."""
    before, after = _dump(old), _dump(new)
    sections = [name for name in after if name != "sources" and before[name] != after[name]]
    sources = ({source["name"]: source for source in one["sources"]} for one in (before, after))
    was, becomes = sources
    for name in sorted({*was, *becomes}):
        if name not in becomes or name not in was:
            sections.append(f"sources.{name} ({'added' if name in becomes else 'removed'})")
            continue
        fields = sorted({*was[name], *becomes[name]} - set(TAKEN_UP))
        sections += [f"sources.{name}.{f}" for f in fields if was[name].get(f) != becomes[name].get(f)]
    return sections


def with_tables(config: Config, new: Config) -> Config:
    """Return the configuration with the tables that its sources have in another one."""
    by_name = {(source.name, source.type): source for source in new.sources}
    for source in config.sources:
        found = by_name.get((source.name, source.type))
        if found is not None:
            fields = {name: getattr(found, name) for name in TAKEN_UP}
            config = with_source(config, source.model_copy(update=fields))
    return config


def with_source(config: Config, source: SourceConfig) -> Config:
    """Return the configuration with this source in the place of the one of its name."""
    sources = tuple(source if one.name == source.name else one for one in config.sources)
    return config.model_copy(update={"sources": sources})


def _targets_used_twice(config: Config) -> list[str]:
    """A source that is left as it is until the restart may still write to what another one is to take over."""
    targets = [str(source.target_of(table)) for source in config.sources for table in source.tables]
    return sorted({target for target in targets if targets.count(target) > 1})


def _dump(section: Config | SourceConfig) -> dict[str, Any]:
    """Return a comparable form; secrets are compared by reference."""
    return section.model_dump(mode="json")
