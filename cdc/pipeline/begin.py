"""Begin: make a table ours and find where the next query goes on with it, if it takes part at all."""

from collections.abc import Callable, Mapping

from cdc.core.errors import TerminalError
from cdc.core.history import PIPELINE, PROGRESS, TOKEN
from cdc.core.progress import Progress
from cdc.pipeline.apply import TableMemory, check_token, create_table, progress_of
from cdc.pipeline.table import TableSpec, TargetState, TargetTable

LOAD = "load"
"""The snapshot mode of tables whose first rows come from a load."""


def begin(
    spec: TableSpec,
    table: TargetTable,
    token: int,
    memory: TableMemory,
    declared: Callable[[], Mapping[str, str] | None],
) -> Progress | None:
    """Return the table's progress, None while it waits for its load; from then on nobody else can publish to it.

    A table that is not there is made, empty, if ``declared`` knows its columns. Raises Fenced if the table bears a
    newer token already, TerminalError if it cannot be made or has another key.
    """
    state = table.find()
    if state is None:
        columns = declared()
        if not columns:
            return _found(memory, None if spec.snapshot == LOAD else Progress(spec.topic, memory.topic_id))
        create_table(spec, table, columns, token)
        state = table.read()
    if spec.snapshot == LOAD and PROGRESS not in state.summary:
        return _found(memory, None)
    _require_key(spec, state)
    return _found(memory, fence(spec, table, state, token, memory.topic_id))


def loaded(table: TargetTable) -> bool:
    """Return whether a load of the table is through, or somebody has moved it to where one was."""
    state = table.find()
    return state is not None and PROGRESS in state.summary


def fence(spec: TableSpec, table: TargetTable, state: TargetState, token: int, topic_id: str) -> Progress:
    """Make a table ours: whoever staged a commit with an older token can no longer publish it.

    Once a token: the query may start again and again. Returns the table's progress; raises Fenced if the table bears a
    newer token already.
    """
    check_token(state, token, spec)
    if state.summary.get(TOKEN) == str(token):
        return progress_of(state, spec, topic_id)
    # The fence bears nothing but the token: a former holder may publish progress until the moment that it stands.
    table.fence({TOKEN: str(token), PIPELINE: spec.pipeline})
    return progress_of(table.read(), spec, topic_id)


def _require_key(spec: TableSpec, state: TargetState) -> None:
    """Merged by another key, a row that is there already would not be found, and stay beside its next version."""
    if state.key and state.key != frozenset(spec.key):
        there, wanted = (", ".join(sorted(key)) for key in (state.key, spec.key))
        raise TerminalError(
            f"{spec.target} was made with the key ({there}), and the configuration says ({wanted})",
            hint="`cdc tables reset TABLE` loads it anew by the new key, or put the former key back",
        )


def _found(memory: TableMemory, progress: Progress | None) -> Progress | None:
    """Note a table's progress; a key change that was waited for elsewhere in its history says nothing any more."""
    if progress != memory.progress:
        memory.torn = memory.given_up = ""
    memory.progress, memory.intended = progress, None
    return progress
