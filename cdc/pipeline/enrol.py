"""Enrol: tables that patterns took in while the service runs are registered with their source's connector."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from cdc.config.models import Config
from cdc.config.sources import SourceConfig
from cdc.core.errors import CdcError, TerminalError
from cdc.core.names import TableName
from cdc.pipeline.aside import DATABASES
from cdc.pipeline.register import ConnectorPlan, Connectors

log = structlog.get_logger()


@dataclass
class Enrolment:
    """Changes connectors that leave out tables of their source; whoever registers one for the first time is a person.

    ``connectors`` are those of a configuration; ``pattern`` is a table in their lists; ``stale`` the tables of a source
    that have to be loaded anew, which a connector may leave out because they ended it (docs/decisions/0018). What fails
    is told once, and tried again with the next look.
    """

    connectors: Callable[[Config], Connectors]
    pattern: Callable[[TableName], str]
    stale: Callable[[Config, SourceConfig], Collection[TableName]] = lambda _config, _source: ()
    _enrolled: dict[str, frozenset[TableName]] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)

    def look(self, config: Config, source: SourceConfig) -> None:
        """Register the source's tables if its connector leaves some of them out."""
        tables = frozenset(table.source for table in source.captured)
        if not tables or tables <= self._enrolled.get(source.name, frozenset()):
            return
        try:
            enrolled = self._enrol(self.connectors(config), source, self.stale(config, source))
        except CdcError as error:
            if self._told.get(source.name) != str(error):
                log.error("tables not registered", pipeline=source.name, error=str(error), hint=error.hint)  # noqa: TRY400
            self._told[source.name] = str(error)
        else:
            self._told.pop(source.name, None)
            if enrolled:
                self._enrolled[source.name] = tables

    def _enrol(self, connectors: Connectors, source: SourceConfig, stale: Collection[TableName]) -> bool:
        """Return whether all tables are registered now that are to be."""
        plan = connectors.plan(source.name, tables_only=True)
        if plan.action == "create":
            return False
        lacking = left_out(plan)
        if aside := [table for table in stale if self.pattern(table) in lacking]:
            plan = connectors.plan(source.name, aside, tables_only=True)
        if new := left_out(plan, DATABASES):
            # Tables that the user could not see when the connector began are not in its history, and would end it.
            what = f"databases are new to connector {source.name!r}: {', '.join(sorted(new))}"
            raise TerminalError(what, hint=f"cdc connectors apply {source.name}; docs/connectors.md says what to heed")
        if lacking := left_out(plan):
            topics = tuple(topic for topic in plan.topics if topic.action == "create")
            connectors.apply(plan._replace(topics=topics))
            log.info("tables registered", pipeline=source.name, patterns=sorted(lacking))
        return True


def left_out(plan: ConnectorPlan, setting: str = "table.include.list") -> frozenset[str]:
    """Return the patterns of the tables that the registered connector leaves out."""
    lists = [(change.old, change.new) for change in plan.changes if change.key == setting]
    return frozenset(one for old, new in lists for one in {*(new or "").split(",")} - {*(old or "").split(",")})
