"""The tables of a source as the use cases know them."""

from cdc.config.sources import SourceConfig, TableConfig
from cdc.core.errors import PreflightError
from cdc.core.positions import LAYOUTS
from cdc.pipeline.table import TableSpec


def specs_of(source: SourceConfig) -> list[TableSpec]:
    """Return the source's tables as the pipeline knows them; those without a key are not captured."""
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
            freshness=source.freshness_of(table),
            rules=tuple(rule.rule() for rule in table.quality),
        )
        for table in source.captured
    ]


def spec_of(source: SourceConfig, table: TableConfig) -> TableSpec:
    """Return one table as the pipeline knows it; raises PreflightError if it has no key."""
    topic = source.topic_of(table)
    for spec in specs_of(source):
        if spec.topic == topic:
            return spec
    raise PreflightError(f"table {table.source} has no key, so it is not captured", hint="cdc doctor")
