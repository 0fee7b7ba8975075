"""Watch: looks at one source again and again, names what is wrong with it, and restarts what may recover.

Looking changes nothing but connectors that failed (docs/decisions/0017-trouble-has-a-place-and-a-name.md).
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog

from cdc.config.sources import SourceConfig
from cdc.core.control import ControlState
from cdc.core.errors import CdcError, TransientError
from cdc.core.identity import Identity
from cdc.core.names import TableName, heartbeat_topic
from cdc.core.preflight import Finding, SourceTable, causes, check_room, unfit
from cdc.core.restarts import Pauses, Restarts
from cdc.core.trouble import Trouble, Troubles, Turn, to_json
from cdc.pipeline.aside import Aside
from cdc.pipeline.connector_state import ConnectorStatus, parse_status
from cdc.pipeline.definitions import Definitions
from cdc.pipeline.preflight import check_tables, unfit_topics
from cdc.pipeline.stretches import Stretches
from cdc.pipeline.symptoms import broken, connector_findings, differing, gone, late, outdated, recreated, silent
from cdc.pipeline.untold import Untold
from cdc.pipeline.watch_parts import WatchParts

log = structlog.get_logger()

LOOK_SECONDS = 10.0
AGAIN_SECONDS = 3.0
"""From a look that saw something that may pass, or marked a table, to the next one."""
_AWAY = ("connect_away", "source_away", "kafka_away", "registry_away", "catalog_away")
PASSING = (*_AWAY, "connector_silent", "connector_missing", "connector_unassigned", "slot_idle", "left_out", "late")
"""Troubles that mostly pass by themselves: they count from the second look on. A worker that starts knows nothing."""


class Found(NamedTuple):
    """What a look found; ``tables`` are those that are fit, as declared, if the database has answered."""

    findings: Sequence[Finding]
    tables: Mapping[TableName, SourceTable] = {}
    answered: bool = False
    status: ConnectorStatus | None = None


@dataclass
class Watch:
    """The watch of one source; ``run`` blocks, everything else is safe to call from any thread."""

    source: SourceConfig
    parts: WatchParts
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    current: tuple[Trouble, ...] = ()
    _troubles: Troubles = field(default_factory=lambda: Troubles(PASSING))
    _restarts: Restarts = field(default_factory=Restarts)
    _wakes: Restarts = field(default_factory=lambda: Restarts(Pauses(first=60.0)))
    _noted: str = ""
    _marked: bool = False
    _heard: tuple[int | None, float] = (None, 0.0)

    def __post_init__(self) -> None:
        parts = self.parts
        self._aside = Aside(parts.cluster, parts.pattern, parts.render)
        self._stretches = Stretches(parts.topics, parts.notes)
        self._untold = Untold(parts.topics, parts.notes, self._leave_out)
        self._definitions = Definitions(parts.definitions, parts.notes.outdated, parts.metrics.schema_changed, self.now)

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        while not stop.is_set():
            began = time.monotonic()
            try:
                self.look()
            except Exception:  # a mistake of ours must not end the watch, and is not to be overlooked
                log.exception("watch failed", pipeline=self.source.name)
            pause = AGAIN_SECONDS if self._troubles.unsure or self._marked else LOOK_SECONDS
            stop.wait(max(1.0, pause - (time.monotonic() - began)))

    def reconfigure(self, source: SourceConfig) -> None:
        """Watch the source as it is configured now."""
        self.source = source

    def look(self) -> Turn:
        """Look once, tell what has changed, and restart what is due."""
        source = self.source
        known, self._marked = self._known(), False
        found = self.find(source, ControlState() if isinstance(known, Finding) else known)
        if isinstance(known, Finding):
            found = found._replace(findings=[*found.findings, known], tables={})
        else:
            if self.parts.active() and not any(finding.name == "kafka_away" for finding in found.findings):
                self._marked = self._read_on(source, known)
            found = found._replace(findings=[*self._untold.findings(source, known), *found.findings])
        turn = self._troubles.follow(found.findings, self.now())
        self.current = tuple(turn.now.values())
        self._tell(source, turn)
        if found.answered:
            self._judge(source, turn)
        if self.parts.active():
            if not isinstance(known, Finding):
                self._note(source, turn, found.tables, known.relations)
                self._marked |= self._follow(source, found.tables)
            if not self._set_aside(source, found.status):
                self._revive(source, found.status)
        return turn

    def find(self, source: SourceConfig, known: ControlState) -> Found:
        """Return what is wrong now, and change nothing; ``known`` is what is noted of the tables."""
        with ThreadPoolExecutor(6, f"{source.name}-look") as pool:  # whoever is silent holds up no other
            connector, settings = pool.submit(self._connector, source), pool.submit(self._settings, source)
            topics, registry = pool.submit(self._topics, source), pool.submit(self._registry)
            place, alive = pool.submit(self._stored, source), pool.submit(self._alive, source)
            (status, findings), stored, present = connector.result(), place.result(), settings.result()
            seconds = self._silent_seconds(alive.result(), running=status is not None and status.running)
            if stored and not stored.get("snapshot"):
                findings += silent(source, seconds)
            if present is not None:  # whoever is not told of them forgets no cause
                findings += self._aside.findings(source, present, known.stale)
            database = self._database(source, (stored, present), status, known.relations)
            findings += [*database.findings, *topics.result(), *registry.result(), *outdated(source, known.outdated)]
            findings += [
                *differing(source, known.differs),
                *broken(source, known.broken),
                *late(source, self.parts.late()),
            ]
            if status is None or not status.tasks:  # it makes them, or is asked to
                findings = [finding for finding in findings if finding.name != "topic_missing"]
        return database._replace(status=status, findings=causes(findings))

    def _connector(self, source: SourceConfig) -> tuple[ConnectorStatus | None, list[Finding]]:
        try:
            status = parse_status(source.name, self.parts.cluster.status(source.name))
        except CdcError as error:
            return None, [Finding("connect_away", str(error), error.hint)]
        return status, connector_findings(status)

    def _settings(self, source: SourceConfig) -> Mapping[str, str] | None:
        """Return the connector's settings, None if there is none, or Connect does not tell."""
        try:
            return self.parts.cluster.config(source.name)
        except CdcError:  # that it does not answer is said elsewhere
            return None

    def _stored(self, source: SourceConfig) -> Mapping[str, Any] | None:
        """Return the connector's stored offset, None if it has none, or Connect cannot read it: it is in Kafka."""
        try:
            offsets = [one["offset"] for one in self.parts.cluster.offsets(source.name) if one.get("offset")]
        except CdcError:
            return None
        return offsets[0] if offsets else None

    def _database(
        self,
        source: SourceConfig,
        connector: tuple[Mapping[str, Any] | None, Mapping[str, str] | None],
        status: ConnectorStatus | None,
        known: Mapping[str, str],
    ) -> Found:
        """Look at the database; ``connector`` is the stored offset of it, and its settings."""
        stored, present = connector
        database = self.parts.database(source)
        try:
            tables = database.tables([table.source for table in source.tables])
            findings = [*database.findings(), *gone(source, check_tables(source, tables), known)]
            findings += self._aside.lists(source, present, tables)
            findings += database.log_findings(stored, running=status is not None and status.running)
            room = database.log_room(stored)
        except TransientError as error:
            return Found([Finding("source_away", str(error), error.hint)])
        except CdcError as error:
            return Found([Finding("source_refused", str(error), error.hint)])
        findings += check_room(source.name, room)
        self.parts.metrics.log_room(source.name, room.behind_bytes, room.left_seconds)
        declared = {name: one for name, one in tables.items() if isinstance(one, SourceTable)}
        others = recreated(source, {name: one.id for name, one in declared.items() if one.id}, known)
        sick = unfit([*others, *findings])  # what may change is not noted yet
        fit = {name: one for name, one in declared.items() if name not in sick}
        return Found([*others, *findings], fit, answered=True)

    def _topics(self, source: SourceConfig) -> list[Finding]:
        wanted = [source.topic_of(table) for table in source.captured]
        try:
            missing = sorted(set(wanted) - self.parts.topics.existing(wanted))
        except CdcError as error:
            return [Finding("kafka_away", str(error), error.hint)]
        if not missing:
            return []
        what = (
            f"{len(missing)} topics do not exist, {missing[0]!r} the first"
            if missing[1:]
            else f"topic {missing[0]!r} does not exist"
        )
        return [Finding("topic_missing", what, f"cdc connectors apply {source.name}")]

    def _alive(self, source: SourceConfig) -> int | None:
        """Return the time of the connector's newest heartbeat, None if there is none, or Kafka is away."""
        topic = heartbeat_topic(source.name)
        try:
            return self.parts.topics.newest_at(topic) if self.parts.topics.existing([topic]) else None
        except CdcError:  # it is told of by whoever looks for the topics
            return None

    def _silent_seconds(self, newest: int | None, *, running: bool) -> float:
        """Return for how long a connector that runs has written no other heartbeat, by this process's own clock."""
        if not running or newest is None or newest != self._heard[0]:
            self._heard = (newest, self.clock())
        return self.clock() - self._heard[1]

    def _registry(self) -> list[Finding]:
        try:
            if self.parts.registry:
                self.parts.registry()
        except CdcError as error:
            return [Finding("registry_away", str(error), error.hint)]
        return []

    def _tell(self, source: SourceConfig, turn: Turn) -> None:
        for trouble in turn.begun:
            finding, table = trouble.finding, str(trouble.finding.table or "")
            self.parts.metrics.trouble(source.name, table, finding.name, there=True)
            log.error(
                "trouble",
                pipeline=source.name,
                trouble=finding.name,
                table=table or None,
                what=finding.what,
                hint=finding.hint,
            )
        for trouble in turn.over:
            table, seconds = str(trouble.finding.table or ""), (self.now() - trouble.since).total_seconds()
            self.parts.metrics.trouble(source.name, table, trouble.finding.name, there=False)
            log.info(
                "trouble is over",
                pipeline=source.name,
                trouble=trouble.finding.name,
                table=table or None,
                seconds=round(seconds),
            )

    def _judge(self, source: SourceConfig, turn: Turn) -> None:
        self.parts.judge(unfit_topics(source, (trouble.finding for trouble in turn.now.values())))

    def _known(self) -> ControlState | Finding:
        """Return what is noted of the tables, or why it cannot be read now."""
        try:
            return self.parts.notes.read()
        except Exception as error:  # noqa: BLE001 - catalogs raise what they like
            said = " ".join(str(error).split())[:200] if isinstance(error, CdcError) else type(error).__name__
            return Finding("catalog_away", f"the catalog does not answer: {said}", "is it up, and catalog.uri right?")

    def _note(
        self, source: SourceConfig, turn: Turn, tables: Mapping[TableName, SourceTable], known: Mapping[str, str]
    ) -> None:
        targets = {str(source.target_of(table)): tables.get(table.source) for table in source.tables}
        new = {
            target: one.id
            for target, one in targets.items()
            if one and one.id and (target not in known or _tells_more(one.id, known[target]))
        }
        text = to_json(turn.now.values())
        if text == self._noted and not new:
            return
        try:
            self.parts.notes.note(relations=new, troubles={source.name: text})
        except Exception as error:  # noqa: BLE001 - the next look tries again
            log.warning("troubles not noted", pipeline=source.name, error=type(error).__name__)
        else:
            self._noted = text

    def _read_on(self, source: SourceConfig, known: ControlState) -> bool:
        """Read on in the logs that tell what no event tells; whoever is away is asked again with the next look."""
        marked = False
        try:
            if topic := self.parts.history(source):
                self._stretches.follow(source, topic, known.places)
                marked |= self._untold.follow_history(source, topic, known.places)
            if server := self.parts.log(source):
                marked |= self._untold.follow_transactions(source, server, known.places)
        except CdcError as error:
            log.debug("log not read", pipeline=source.name, error=str(error))
        except Exception as error:  # noqa: BLE001 - catalogs raise what they like
            log.warning("log not read", pipeline=source.name, error=type(error).__name__)
        return marked

    def _follow(self, source: SourceConfig, tables: Mapping[TableName, SourceTable]) -> bool:
        try:
            return self._definitions.follow(source, tables)
        except Exception as error:  # noqa: BLE001 - the next look tries again
            log.warning("definitions not noted", pipeline=source.name, error=type(error).__name__)
        return False

    def _set_aside(self, source: SourceConfig, status: ConnectorStatus | None) -> bool:
        """Let a connector that failed go on without the tables that ended it; return whether there are any."""
        if status is None or not status.failed:
            return False
        try:
            tables = self._aside.take_out(source, status.trace)
        except CdcError as error:
            log.warning("connector not changed", pipeline=source.name, error=str(error))
            return False
        for table in tables:
            log.error("table set aside", pipeline=source.name, table=str(table), trace=status.trace)
        return bool(tables)

    def _leave_out(self, source: SourceConfig, causes: Mapping[TableName, str]) -> None:
        """Let the connector go on without tables that it misunderstands; raises as the cluster does."""
        for table in self._aside.leave_out(source, causes):
            log.error("table set aside", pipeline=source.name, table=str(table), trace=causes[table])

    def _revive(self, source: SourceConfig, status: ConnectorStatus | None) -> None:
        if status is None or not (status.failed or status.running):
            return
        silent = any(trouble.finding.name == "connector_silent" for trouble in self.current)
        restarts = self._restarts if status.failed else self._wakes
        if not (status.failed or silent):
            self._restarts.well()
            self._wakes.well()
            return
        if not restarts.due(status.trace, self.clock()):
            return
        try:
            (self.parts.cluster.restart_failed if status.failed else self.parts.cluster.restart)(source.name)
        except CdcError as error:
            log.warning("connector not restarted", pipeline=source.name, error=str(error))
        else:
            log.info("connector restarted", pipeline=source.name, tries=restarts.pauses.tries, trace=status.trace)


def _tells_more(identity: str, known: str) -> bool:
    """Return whether an identity tells of a history where the known one does not yet."""
    now, before = Identity.parse(identity), Identity.parse(known)
    return bool(now.history) and not before.history and now.relation == before.relation
