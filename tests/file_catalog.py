"""The Hadoop catalog of the contract tests, made writable for pyiceberg: what the product does on other catalogs."""

from pathlib import Path
from typing import Any, cast

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import update_table_metadata

from cdc.config.models import Config
from cdc.lake.pyiceberg_catalog import HadoopReader


class FileCatalog:
    """Tables of a folder; a version is committed by whoever creates its file."""

    name = "files"

    def __init__(self, config: Config) -> None:
        self._warehouse = config.catalog.warehouse
        self._reader = HadoopReader(config.catalog.name, config.catalog.warehouse)

    def load_table(self, identifier: Any) -> Any:
        found = self._reader.load_table(identifier)
        return Table(found.name(), found.metadata, found.metadata_location, found.io, cast("Catalog", self))

    _delete_old_metadata = staticmethod(Catalog._delete_old_metadata)  # noqa: SLF001 - a table calls it of its catalog

    def supports_server_side_planning(self) -> bool:
        return False

    def create_table(self, identifier: Any, schema: Any, *, partition_spec: Any, properties: dict[str, str]) -> Any:
        folder = Path(self._warehouse, *identifier)
        made = new_table_metadata(schema, partition_spec, UNSORTED_SORT_ORDER, f"file:{folder}", properties)
        (folder / "metadata").mkdir(parents=True)
        (folder / "metadata" / "v1.metadata.json").write_text(made.model_dump_json(exclude_none=True))
        (folder / "metadata" / "version-hint.text").write_text("1")
        return self.load_table(identifier)

    def commit_table(self, table: Any, requirements: tuple[Any, ...], updates: tuple[Any, ...]) -> CommitTableResponse:
        current = self.load_table(_identifier(table))
        for requirement in requirements:
            requirement.validate(current.metadata)
        location = current.metadata_location
        changed = update_table_metadata(current.metadata, updates, metadata_location=location)
        path = Path(location.removeprefix("file:"))
        version = int(path.name.partition(".")[0].removeprefix("v")) + 1
        try:
            made = path.with_name(f"v{version}.metadata.json")
            with made.open("x") as file:
                file.write(changed.model_dump_json(exclude_none=True))
        except FileExistsError:
            raise CommitFailedException("somebody else has made this version") from None
        path.with_name(".version-hint.text.crc").unlink(missing_ok=True)
        path.with_name("version-hint.text").write_text(str(version))
        return CommitTableResponse(metadata=changed, metadata_location=f"file:{made}")


def _identifier(table: Any) -> tuple[str, ...]:
    """Return the name of a table that was loaded by its path: the last folders of its location."""
    return tuple(table.metadata.location.rstrip("/").split("/")[-2:])
