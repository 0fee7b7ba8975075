"""The tables of a source as the use cases know them."""

from cdc.config.sources import SourceConfig
from cdc.core.positions import LAYOUTS
from cdc.pipeline.table import TableSpec


def specs_of(source: SourceConfig) -> list[TableSpec]:
    """Return the source's tables as the pipeline knows them."""
    return [
        TableSpec(
            pipeline=source.name,
            engine=source.type,
            topic=source.topic_of(table),
            target=source.target_of(table),
            key=table.key,
            layout=LAYOUTS[source.type],
            partition_by=table.partition_by,
            properties=table.properties,
            snapshot=source.snapshot_of(table).value,
            transactional=source.connector.get("exactly.once.support", "required") == "required",
            load_priority=table.load_priority,
        )
        for table in source.tables
    ]
