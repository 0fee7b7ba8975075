"""The control table: an Iceberg table of which only the properties are used, read and written without Spark."""

import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.types import NestedField, StringType

from cdc.core.control import (
    BROKEN,
    DIFFERS,
    MOVED,
    OUTDATED,
    PAUSED,
    READ,
    RELATION,
    STALE,
    TROUBLE,
    ControlState,
    Pause,
    Stale,
)
from cdc.core.errors import CommitConflict, CommitStateUnknown
from cdc.core.names import TableName
from cdc.lake.audit import open_table
from cdc.lake.commits import commit_errors, repeated, writable

TABLE = "control"

_turn = threading.Lock()
"""Threads of a process write one by one, and need not find out by a conflict."""

_SCHEMA = Schema(NestedField(1, "unused", StringType(), required=False))


class Control:
    """Pauses, moves, marks of all targets, troubles of all sources; a change is one commit, repeated on conflict.

    Safe to use from several processes; an instance belongs to one thread. The table is made when it is first written.
    """

    def __init__(self, catalog: Catalog, namespace: str) -> None:
        self._catalog = catalog
        self._name = (namespace, TABLE)

    def create(self) -> None:
        """Make the table if it is missing; raises ConfigError where pyiceberg cannot write."""
        self._writable()

    def read(self) -> ControlState:
        """Return what stands there now, nothing if the table was never made; raises TransientError."""
        with commit_errors("read the control table"):
            try:
                table = self._catalog.load_table(self._name)
            except NoSuchTableError:
                return ControlState()
            return ControlState.of(table.properties)

    def pause(self, target: TableName | str, who: str, why: str) -> None:
        """Pause a table from now on; another pause takes the place of one that stands."""
        pause = Pause(who, datetime.now(UTC).isoformat(timespec="seconds"), why)
        self._change(lambda change: change.set_properties({f"{PAUSED}{target}": pause.to_json()}))

    def resume(self, target: TableName | str) -> None:
        """End the pause of a table; nothing happens if there is none."""
        if str(target) in self.read().paused:
            self._take_away(f"{PAUSED}{target}")

    def moved(self, target: TableName | str) -> None:
        """Tell the pipeline that ``main`` of a table was moved from outside: after the move, or if in doubt."""
        number = str(uuid.uuid4())
        self._change(lambda change: change.set_properties({f"{MOVED}{target}": number}))

    def loaded(self, target: TableName | str, relation: str = "", since: str = "") -> None:
        """Tell the pipeline that a table was loaded anew: it is stale no more; ``relation`` is of what.

        A mark that was set after ``since`` (UTC, ISO 8601), when the load began, stays.
        """
        number = str(uuid.uuid4())

        def change(change: Transaction) -> None:
            kept = change.table_metadata.properties
            state = ControlState.of(kept)
            marks = {
                prefix: of.get(str(target))
                for prefix, of in ((STALE, state.stale), (OUTDATED, state.outdated), (DIFFERS, state.differs))
            }
            gone = [RELATION, *(name for name, mark in marks.items() if mark and not mark.later(since))]
            if present := [name for name in (f"{one}{target}" for one in gone) if name in kept]:
                change.remove_properties(*present)
            noted = {f"{RELATION}{target}": relation} if relation else {}
            change.set_properties({f"{MOVED}{target}": number, **noted})

        self._change(change)

    def stale(self, target: TableName | str, why: str) -> None:
        """Mark a table as one to be loaded anew; reasons of a mark that stands stay."""
        self._mark(f"{STALE}{target}", why)

    def outdated(self, target: TableName | str, why: str) -> None:
        """Mark a table that goes on, and has old values until it is loaded anew; reasons stay as with ``stale``."""
        self._mark(f"{OUTDATED}{target}", why)

    def differs(self, target: TableName | str, why: str) -> None:
        """Mark a table that a proof has found not to be equal to its source; what an earlier one said is gone."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")

        def change(change: Transaction) -> None:
            known = change.table_metadata.properties.get(f"{DIFFERS}{target}")
            first = Stale.from_json(known).at if known else at
            change.set_properties({f"{DIFFERS}{target}": Stale(first, why, at).to_json()})

        self._change(change)

    def breaks(self, target: TableName | str, why: str) -> None:
        """Mark a table with rows that break a rule of quality; reasons stay as with ``stale``."""
        self._mark(f"{BROKEN}{target}", why)

    def judged(self, target: TableName | str, why: str, since: str) -> None:
        """Put what a look at a whole table has found in the place of its mark, nothing if every rule holds.

        What a batch has said after ``since`` (UTC, ISO 8601), when the look began, stays.
        """
        name, at = f"{BROKEN}{target}", datetime.now(UTC).isoformat(timespec="milliseconds")

        def change(change: Transaction) -> None:
            text = change.table_metadata.properties.get(name)
            known = Stale.from_json(text) if text else None
            mark: Stale | None
            if known and known.later(since):
                mark = known.again(at, why) if why else known
            else:
                mark = Stale(known.at if known else at, why, at) if why else None
            if mark is not None:
                change.set_properties({name: mark.to_json()})
            elif known:
                change.remove_properties(name)

        if why or str(target) in self.read().broken:
            self._change(change)

    def equal(self, target: TableName | str) -> None:
        """Take away the mark of a table that differed, if it has one."""
        if str(target) in self.read().differs:
            self._take_away(f"{DIFFERS}{target}")

    def _mark(self, name: str, why: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")

        def change(change: Transaction) -> None:
            known = change.table_metadata.properties.get(name)
            mark = Stale.from_json(known).again(at, why) if known else Stale(at, why)
            change.set_properties({name: mark.to_json()})

        self._change(change)

    def accept(self, target: TableName | str) -> bool:
        """Take away the mark of a table that has old values, as somebody says; return whether there was one."""
        if str(target) not in self.read().outdated:
            return False
        self._take_away(f"{OUTDATED}{target}")
        return True

    def accept_history(self, target: TableName | str, relation: str, why: str) -> None:
        """Take the history that a source has now for a table's own, and tell the pipeline that it has moved.

        The table is stale no more, and ``differs`` until it is proved; ``relation`` is its identity in the source.
        """
        at, number = datetime.now(UTC).isoformat(timespec="milliseconds"), str(uuid.uuid4())

        def change(change: Transaction) -> None:
            if (mark := f"{STALE}{target}") in change.table_metadata.properties:
                change.remove_properties(mark)
            noted = {RELATION: relation, MOVED: number, DIFFERS: Stale(at, why, at).to_json()}
            change.set_properties({f"{prefix}{target}": text for prefix, text in noted.items()})

        self._change(change)

    def _take_away(self, name: str) -> None:
        with suppress(KeyError):  # pyiceberg's answer when somebody else has done so meanwhile
            self._change(lambda change: change.remove_properties(name))

    def note(
        self,
        *,
        relations: Mapping[str, str] | None = None,
        troubles: Mapping[str, str] | None = None,
        places: Mapping[str, str] | None = None,
    ) -> None:
        """Write down which tables of the sources the targets have, the troubles of sources, and how far logs are read.

        ``places`` are by source and log.
        """
        parts = ((RELATION, relations), (TROUBLE, troubles), (READ, places))
        notes = {f"{prefix}{name}": text for prefix, kept in parts for name, text in (kept or {}).items()}
        self._change(lambda change: change.set_properties(notes))

    def _change(self, change: Callable[[Transaction], object]) -> None:
        for attempt in repeated(CommitConflict, CommitStateUnknown):  # the same change again does no harm
            with attempt, _turn:
                table = self._writable()
                with commit_errors("write to the control table"), table.transaction() as transaction:
                    change(transaction)

    def _writable(self) -> Table:
        writable(self._catalog)
        with commit_errors("make the control table"):
            return open_table(self._catalog, self._name, _SCHEMA, UNPARTITIONED_PARTITION_SPEC)
