"""Control: what operators and other commands tell a running pipeline of its tables, and what is new of it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import structlog

from cdc.core.control import ControlState
from cdc.core.errors import CdcError, TransientError
from cdc.core.names import TableName
from cdc.core.quality import Verdict
from cdc.pipeline.table import TableSpec

log = structlog.get_logger()

POLL_SECONDS = 1.0
"""How often the control table is looked at while a query runs."""


class Control(Protocol):
    """Pauses, moves and stale marks, in one place that several processes write to; a read is one look-up."""

    def read(self) -> ControlState:
        """Return what stands there now; raises TransientError, or anything else that a catalog may raise."""
        ...

    def stale(self, target: TableName, why: str) -> None:
        """Mark a table as one to be loaded anew; reasons of a mark that stands stay. Raises as ``read`` does."""
        ...

    def outdated(self, target: TableName, why: str) -> None:
        """Mark a table that goes on, and has old values until it is loaded anew. Raises as ``read`` does."""
        ...

    def breaks(self, target: TableName, why: str) -> None:
        """Mark a table that goes on, with rows that break a rule. Raises as ``read`` does."""
        ...


class Notes(Control, Protocol):
    """The control table as a watch writes to it."""

    def note(
        self,
        *,
        relations: Mapping[str, str] | None = None,
        troubles: Mapping[str, str] | None = None,
        places: Mapping[str, str] | None = None,
    ) -> None:
        """Write down which tables of the sources the targets have, the troubles of sources, and how far logs are read.

        ``places`` are by source and log. Raises as ``read`` does.
        """
        ...


class Heard(NamedTuple):
    """What is new: tables that were paused, resumed, moved from outside, or marked as stale."""

    paused: tuple[TableSpec, ...]
    resumed: tuple[TableSpec, ...]
    moved: tuple[TableSpec, ...]
    stale: tuple[TableSpec, ...]


@dataclass
class Marks:
    """Follows the control table; where it cannot be read, what was read last goes on to hold."""

    pipeline: str
    control: Control
    interval: float = POLL_SECONDS
    state: ControlState = field(default_factory=ControlState)
    known: bool = False
    _due_at: float = 0.0
    _failing: bool = False

    def poll(self, specs: Iterable[TableSpec]) -> Heard | None:
        """Return what is new of these tables, None if that is nothing or it is not time yet.

        The first look takes moves as known: the tables are read after it.
        """
        if time.monotonic() < self._due_at:
            return None
        self._due_at = time.monotonic() + self.interval
        state = self._read()
        if state is None or (self.known and state == self.state):
            return None
        heard = self._compare(tuple(specs), state)
        self.state, self.known = state, True
        self._log(heard)
        return heard

    def pause_of(self, spec: TableSpec) -> str:
        """Return who paused a table, when and why; nothing if it is not paused."""
        pause = self.state.paused.get(str(spec.target))
        return str(pause) if pause else ""

    def stale_of(self, spec: TableSpec) -> str:
        """Return why a table has to be loaded anew, and since when; nothing if it has not."""
        stale = self.state.stale.get(str(spec.target))
        return str(stale) if stale else ""

    def outdate(self, spec: TableSpec, columns: Sequence[str]) -> None:
        """Mark a table whose old rows lack what the source holds in added columns; raises TransientError."""
        try:
            self.control.outdated(spec.target, f"no event tells what older rows hold in {', '.join(columns)}")
        except CdcError:
            raise
        except Exception as error:  # catalogs raise what they like
            what = f"{spec.target} is not marked as outdated: {type(error).__name__}"
            raise TransientError(what, hint="is the catalog up, and catalog.uri right?") from error

    def breaks(self, spec: TableSpec, verdicts: Iterable[Verdict]) -> None:
        """Mark a table whose rows break rules, once for each rule; a mark that fails comes with a later batch."""
        mark = self.state.broken.get(str(spec.target))
        for verdict in verdicts:
            why = f"rule {verdict.rule.name!r} is broken"
            if mark is None or why not in mark.why:
                try:
                    self.control.breaks(spec.target, why)
                except Exception as error:  # noqa: BLE001 - it is told by log and metrics as well
                    log.warning("broken rule not noted", pipeline=self.pipeline, error=_sentence(error))

    def _compare(self, specs: tuple[TableSpec, ...], state: ControlState) -> Heard:
        before, moves = self.state, state.moved if self.known else {}
        names = {str(spec.target): spec for spec in specs}
        return Heard(
            tuple(spec for name, spec in names.items() if name in state.paused and name not in before.paused),
            tuple(spec for name, spec in names.items() if name in before.paused and name not in state.paused),
            tuple(spec for name, spec in names.items() if moves.get(name) not in (None, before.moved.get(name))),
            tuple(spec for name, spec in names.items() if name in state.stale and name not in before.stale),
        )

    def _log(self, heard: Heard) -> None:
        for spec in heard.paused:
            log.info("table paused", pipeline=self.pipeline, table=str(spec.target), pause=self.pause_of(spec))
        for spec in heard.resumed:
            log.info("table resumed", pipeline=self.pipeline, table=str(spec.target))
        for spec in heard.moved:
            log.info("table moved from outside", pipeline=self.pipeline, table=str(spec.target))

    def _read(self) -> ControlState | None:
        try:
            state = self.control.read()
        except Exception as error:  # noqa: BLE001 - operators' wishes must never end the stream
            if not self._failing:
                log.warning("control table not read", pipeline=self.pipeline, error=_sentence(error))
            self._failing = True
            return None
        if self._failing:
            log.info("control table read again", pipeline=self.pipeline)
        self._failing = False
        return state


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
