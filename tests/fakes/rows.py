"""A table held in memory, as the verification reads it."""

from collections.abc import Iterator, Sequence

from cdc.core.canonical import Column


class FakeRows:
    def __init__(self, columns: Sequence[Column], rows: Sequence[tuple[str | None, ...]]) -> None:
        self.columns = tuple(columns)
        self._rows = list(rows)

    def rows(self) -> Iterator[tuple[str | None, ...]]:
        return iter(self._rows)
