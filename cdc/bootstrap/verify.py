"""Proofs of equality with their real parts: the databases, Spark, Kafka and Connect."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import structlog
from pyiceberg.catalog import Catalog
from pyspark.sql import SparkSession

from cdc.bootstrap.by_value import key_values
from cdc.bootstrap.connectors import SourceCapture, capture_of
from cdc.bootstrap.engine import SparkEngine
from cdc.bootstrap.equality import Sides, SidesParts
from cdc.bootstrap.load import SourceLoads
from cdc.bootstrap.operations import OperatorParts
from cdc.bootstrap.specs import spec_of
from cdc.bootstrap.writers import source_columns
from cdc.config.models import Config
from cdc.config.sources import MySqlSource, OracleSource, PostgresSource, SourceConfig, TableConfig
from cdc.core.errors import CdcError, ConfigError
from cdc.core.fingerprint import DigestSource, parted
from cdc.core.proof import TableProof
from cdc.kafka.ranges import RangeReader
from cdc.lake.checkpoints import Histories
from cdc.lake.control import Control
from cdc.lake.java import java_errors
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.verifications import Verifications
from cdc.lazy import lazy
from cdc.pipeline.capture import Capture
from cdc.pipeline.prove import Progressing, Proof
from cdc.pipeline.rewind import note
from cdc.sources.bulk_mysql import MySqlBulk
from cdc.sources.bulk_postgres import PostgresBulk

log = structlog.get_logger()

_JSON = {"mysql": "JSON", "postgres": "HSTORE"}
"""Types whose text the log's reader prints otherwise than the server does."""


def digest_source(source: SourceConfig, config: Config) -> DigestSource:
    """Return the database that rows are digested by: the source itself, for a replica may be behind the lake.

    Raises ConfigError where that is not known of its kind.
    """
    timeout = config.load.statement_timeout.total_seconds()
    match source:
        case PostgresSource():
            return PostgresBulk(source, statement_timeout=timeout)
        case MySqlSource():
            return MySqlBulk(source, statement_timeout=timeout)
        case OracleSource():
            raise ConfigError(
                f'source "{source.name}" of type {source.type} cannot be verified yet',
                hint="compare counts and sums of its tables by hand meanwhile",
            )


def can_prove(source: SourceConfig) -> bool:
    """Return whether the database of a source can digest its rows."""
    return not isinstance(source, OracleSource)


@dataclass
class Verification:
    """The proofs of some tables, one after another; what they have in common is made once."""

    config: Config
    session: SparkSession
    on_progress: Callable[[str, Progressing], None] = lambda _target, _progress: None
    stopping: Callable[[], bool] = lambda: False
    limit: int = 10_000
    rows_per_second: int = 0
    whole_rows: int = 0
    pause: Callable[[float], object] = time.sleep
    _engines: dict[str, SparkEngine] = field(default_factory=dict)

    @lazy
    def _catalog(self) -> Catalog:
        return open_catalog(self.config.catalog)

    @lazy
    def _capture(self) -> Capture:
        return capture_of(self.config)

    def _engine(self, source: SourceConfig) -> SparkEngine:
        if source.name not in self._engines:
            self._engines[source.name] = SparkEngine(self.config, source, self.session)
        return self._engines[source.name]

    def run(self, chosen: Sequence[tuple[SourceConfig, TableConfig]]) -> Iterator[TableProof]:
        """Yield the proof of each table; what goes wrong with one is told in it, and the others go on."""
        for source, table in chosen:
            yield self.prove(source, table)

    def record(self, proof: TableProof) -> None:
        """Write a proof into the table of proofs, and mark the table if it differs; it is one also where that fails."""
        namespace = self.config.metadata_namespace
        try:
            Verifications(self._catalog, namespace).write(proof)
            if proof.other:
                return  # of the source it says nothing
            control = Control(self._catalog, namespace)
            if proof.differences:
                what = f"{len(proof.differences):,} of its rows are not the source's: {proof.summary()}"
                control.differs(proof.target, f"{what}, at {proof.position}")
            elif proof.equal:
                control.equal(proof.target)
        except CdcError as error:
            log.warning("proof not written down", table=proof.target, error=str(error))

    def prove(self, source: SourceConfig, table: TableConfig) -> TableProof:
        """Return the proof of a table; what goes wrong with it is told in it."""
        try:
            with java_errors(f"verify {source.target_of(table)}"):
                return self._with(source, table, Proof.run)
        except CdcError as error:
            return TableProof(*_names(source, table), error=error.said_of(table.source))

    def repair(self, source: SourceConfig, table: TableConfig, proof: TableProof, why: str) -> TableProof:
        """Put right what differs in a proof, and return it after another look; raises the errors of ``Repair``."""
        spec = spec_of(source, table)
        loads = SourceLoads(self.config, source, self.session, stopping=self.stopping)
        keys = [parted(one.key) for one in proof.differences]
        what = f"{len(keys)} rows that differed at {proof.position}"
        audit = OperatorParts(self.config).operations.audit
        try:
            with java_errors(f"repair {spec.target}"):
                loads.repair(spec, key_values(keys, self._key_types(source, table)))
                after = self._with(source, table, lambda made: made.again(proof))
        except CdcError as error:
            note(audit, "repair", spec.target, what, why, f"failed: {error}")
            raise
        note(audit, "repair", spec.target, what, why, f"{len(keys) - len(after.differences)} rows are right now")
        return after

    def _key_types(self, source: SourceConfig, table: TableConfig) -> list[str]:
        columns = source_columns(source)(source.topic_of(table))[1].columns()
        return [columns[name] for name in table.key]

    def _with(self, source: SourceConfig, table: TableConfig, use: Callable[[Proof], TableProof]) -> TableProof:
        digests = digest_source(source, self.config)
        names = _names(source, table)
        with closing(RangeReader(self.config.kafka)) as messages:
            proof = Proof(
                Sides(self._parts(source, table, digests, messages)),
                names,
                limit=self.limit,
                rows_per_second=self.rows_per_second,
                on_progress=lambda progress: self.on_progress(names[1], progress),
                stopping=self.stopping,
                pause=self.pause,
            )
            return use(proof)

    def _parts(
        self, source: SourceConfig, table: TableConfig, digests: DigestSource, messages: RangeReader
    ) -> SidesParts:
        capture, spec = SourceCapture(self._capture, source), spec_of(source, table)
        row = source_columns(source)(spec.topic)[1]
        return SidesParts(
            source=digests,
            table=table.source,
            spec=spec,
            declared=row.columns(),
            where=Histories(self._catalog).read(spec.target).loaded_where(),
            session=self.session,
            catalog=self._catalog,
            catalog_name=self.config.catalog.name,
            namespace=self.config.metadata_namespace,
            engine=self._engine(source),
            messages=messages,
            passed=capture.passed,
            trouble=capture.trouble,
            whole_rows=self.whole_rows,
            json=frozenset(x.name for x in row.fields if x.source_type.endswith(_JSON.get(source.type, " "))),
        )


def _names(source: SourceConfig, table: TableConfig) -> tuple[str, str]:
    return f"{source.name}:{table.source}", str(source.target_of(table))
