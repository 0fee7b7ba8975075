"""The key indexes of a process: one folder for each table, few of them open at a time."""

import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import quote

from pyiceberg.table import Table

from cdc.core.names import TableName
from cdc.lake.index_entries import KeyColumns
from cdc.lake.key_index import KeyIndex

OPEN = 16
"""Indexes that are open at a time, besides those in use."""


@cache
def indexes_in(folder: Path) -> "KeyIndexes":
    """Return the indexes below a folder, the same for everybody in the process: a folder is opened once."""
    return KeyIndexes(folder)


class KeyIndexes:
    """The indexes below a folder; threads ask for those of different tables. Long work is done one by one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._known: OrderedDict[Path, KeyIndex] = OrderedDict()
        self._used: set[Path] = set()

    @contextmanager
    def of(self, name: TableName, table: Table, columns: KeyColumns) -> Iterator[KeyIndex]:
        """Give the index of a table for a while; indexes of tables that had its name before go."""
        beside = self._folder / quote(f"{name.namespace}.{name.table}", safe="")
        folder = beside / str(table.metadata.table_uuid)
        with self._lock:
            index = self._found(str(name), folder, columns)
            self._used.add(folder)
        try:
            yield index
        finally:
            with self._lock:
                self._used.discard(folder)
                self._close_some()

    def close(self) -> None:
        """Let go of all of them."""
        with self._lock:
            for index in self._known.values():
                index.close()

    def _found(self, name: str, folder: Path, columns: KeyColumns) -> KeyIndex:
        index = self._known.pop(folder, None)
        if index is None:
            self._forget_others(folder)
        if index is None or index.columns != columns:
            if index is not None:
                index.close()
            index = KeyIndex(name, folder, columns, self._turn)
        self._known[folder] = index
        return index

    def _forget_others(self, folder: Path) -> None:
        for other in folder.parent.glob("*") if folder.parent.exists() else ():
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)

    def _close_some(self) -> None:
        idle = [folder for folder in self._known if folder not in self._used]
        for folder in idle[: max(len(idle) - OPEN, 0)]:
            self._known[folder].close()
