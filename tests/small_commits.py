"""A large table as an index of keys leaves it: a data file and a delete file for every small commit."""

import random
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from cdc.core.history import PROGRESS
from cdc.core.names import TableName
from cdc.core.progress import PartitionProgress, Progress
from cdc.lake.java import java_class, load_table
from cdc.lake.tables import IcebergTable

COLUMNS = {"id": "long", "n": "long", "text": "string"}
_KINDS = {"long": pa.int64(), "string": pa.string()}


def _schema(fields: dict[str, tuple[int, str]]) -> pa.Schema:
    return pa.schema(
        [
            pa.field(name, _KINDS[kind], metadata={"PARQUET:field_id": str(number)})
            for name, (number, kind) in fields.items()
        ]
    )


_DELETES = _schema({"file_path": (2147483546, "string"), "pos": (2147483545, "long")})


@dataclass
class SmallCommits:
    """Writes to a table of ``rows`` rows at first, and knows what every row has to be."""

    session: Any
    catalog: str
    name: TableName
    rows: int
    chance: random.Random
    values: dict[int, int] = field(default_factory=dict)
    places: dict[int, tuple[str, int]] = field(default_factory=dict)
    commits: int = 0

    def __post_init__(self) -> None:
        self.table = IcebergTable(self.session, self.catalog, self.name)
        self.table.create(COLUMNS, ("id",), (), {"write.merge.mode": "merge-on-read"})
        iceberg = load_table(self.session, self.table.sql_name)
        self.folder = Path(str(iceberg.location()).removeprefix("file:")) / "data"
        self.folder.mkdir(exist_ok=True)
        self.schema = _schema({f.name(): (f.fieldId(), COLUMNS[f.name()]) for f in iceberg.schema().columns()[:3]})
        self._commit(dict.fromkeys(range(self.rows), 0), [])

    def change(self, changes: int) -> None:
        """Commit so many changes: eight updates for an insert and a delete."""
        known = self.chance.sample(list(self.values), changes)
        updated, deleted = known[: changes * 8 // 10], known[changes * 8 // 10 : changes * 9 // 10]
        self.commits += 1
        first = 10_000_000 + self.commits * changes
        new = range(first, first + changes - len(updated) - len(deleted))
        self._commit(dict.fromkeys([*updated, *new], self.commits), deleted)

    def find_again(self) -> None:
        """Learn where the rows are, as the index has to after files were put together."""
        found = self.session.sql(f"SELECT id, n, _file, _pos FROM {self.table.sql_name}").toArrow().to_pylist()
        self.places = {row["id"]: (row["_file"], row["_pos"]) for row in found}
        assert len(self.places) == len(found), "a key is there twice"
        assert {row["id"]: row["n"] for row in found} == self.values

    def progress(self) -> Progress:
        """Return the progress that the newest commit bears."""
        return Progress("shop.public.t", "id", {0: PartitionProgress(self.commits + 1, 0, streaming=True)})

    def _commit(self, values: dict[int, int], deleted: list[int]) -> None:
        gone = sorted(self.places.pop(key) for key in [*values, *deleted] if key in self.places)
        for key in deleted:
            del self.values[key]
        iceberg = load_table(self.session, self.table.sql_name)
        update = iceberg.newRowDelta().addRows(self._rows_file(iceberg, values))
        if gone:
            update.addDeletes(self._deletes_file(iceberg, gone))
        update.set(PROGRESS, self.progress().to_json()).set("cdc.token", "1").set("cdc.pipeline", "shop")
        update.commit()

    def _rows_file(self, iceberg: Any, values: dict[int, int]) -> Any:
        made = pa.Table.from_pydict(
            {
                "id": list(values),
                "n": list(values.values()),
                "text": [self.chance.randbytes(40).hex() for _ in values],
            },
            self.schema,
        )
        path = self._written(made)
        self.places |= {key: (path, place) for place, key in enumerate(values)}
        self.values |= values
        files = java_class(self.session, "org.apache.iceberg.DataFiles").builder(iceberg.spec())
        return self._described(iceberg, files, path, "forTable", iceberg)

    def _deletes_file(self, iceberg: Any, gone: list[tuple[str, int]]) -> Any:
        paths, places = zip(*gone, strict=True)
        path = self._written(pa.Table.from_pydict({"file_path": paths, "pos": places}, _DELETES))
        files = java_class(self.session, "org.apache.iceberg.FileMetadata").deleteFileBuilder(iceberg.spec())
        return self._described(iceberg, files.ofPositionDeletes(), path, "forPositionDelete")

    def _written(self, rows: pa.Table) -> str:
        path = self.folder / f"{uuid.uuid4()}.parquet"
        pq.write_table(rows, path, compression="zstd")
        return f"file:{path}"

    def _described(self, iceberg: Any, builder: Any, path: str, config: str, *of: Any) -> Any:
        metrics_config = getattr(java_class(self.session, "org.apache.iceberg.MetricsConfig"), config)(*of)
        read = java_class(self.session, "org.apache.iceberg.parquet.ParquetUtil").fileMetrics
        metrics = read(iceberg.io().newInputFile(path), metrics_config)
        size = Path(path.removeprefix("file:")).stat().st_size
        return builder.withPath(path).withFormat("PARQUET").withFileSizeInBytes(size).withMetrics(metrics).build()
