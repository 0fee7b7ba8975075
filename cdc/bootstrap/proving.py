"""Proofs of a running service with their real parts, in a thread of their own."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import structlog
from pyspark.sql import SparkSession

from cdc.bootstrap.quality import Quality
from cdc.bootstrap.verify import Verification, can_prove
from cdc.config.models import Config
from cdc.config.sources import SourceConfig, TableConfig
from cdc.core.errors import CdcError, TerminalError
from cdc.core.proof import PART, TableProof
from cdc.lake.pyiceberg_catalog import by_spark_alone, open_catalog
from cdc.lake.verifications import Verifications
from cdc.lazy import lazy
from cdc.ops.metrics import Metrics
from cdc.pipeline.proving import Provable, Proving
from cdc.pipeline.stream import DRAIN_SECONDS, Pipeline
from cdc.spark.session import sibling_session

log = structlog.get_logger()

POOL = "proofs"
"""Jobs of proofs share the processors with batches, and not more of them."""


class ServiceProver:
    """Proves tables of the pipelines of this process; implements ``pipeline.proving.Prover``."""

    def __init__(self, config: Config, pipelines: Sequence[Pipeline], session: SparkSession, metrics: Metrics) -> None:
        self._pipelines, self._parent, self._metrics = pipelines, session, metrics
        self._stop = threading.Event()
        self._take(config, {source.name: source for source in config.sources})

    @lazy
    def _session(self) -> SparkSession:
        """Return a session of its own, from the first proof on."""
        return sibling_session(self._parent, self._config.catalog)

    def reconfigure(self, config: Config, source: SourceConfig) -> None:
        """Take up another configuration of a source; a proof that is under way comes to its end first."""
        self._take(config, {**self._sources, source.name: source})

    def _take(self, config: Config, sources: dict[str, SourceConfig]) -> None:
        self._config, self._sources = config, sources
        self._verification: Verification | None = None

    def _verify(self) -> Verification:
        """Return what makes proofs by the configuration as it is; its parts are made once."""
        if self._verification is None:
            self._verification = Verification(
                self._config,
                self._session,
                stopping=self._stop.is_set,
                rows_per_second=self._config.verify.rows_per_second,
                whole_rows=PART,
                pause=self._stop.wait,
            )
        return self._verification

    def end(self) -> None:
        """Tell a proof that is under way to end."""
        self._stop.set()

    def tables(self) -> Iterable[Provable]:
        """Return the tables that are running, of sources whose database can digest rows."""
        for pipeline in self._pipelines:
            if not can_prove(self._sources[pipeline.name]):
                continue
            running = pipeline.report.running()
            targets = (str(spec.target) for spec in pipeline.streaming())
            yield from (Provable(pipeline.name, target) for target in targets if target in running)

    def proved(self) -> dict[str, datetime]:
        """Return when each target was proved last."""
        proofs = Verifications(open_catalog(self._config.catalog), self._config.metadata_namespace).newest()
        return {target: proof.at for target, proof in proofs.items()}

    def prove(self, table: Provable) -> TableProof:
        """Prove a table, and write down what was found."""
        source, verification = self._sources[table.pipeline], self._verify()
        found = [one for one in source.tables if str(source.target_of(one)) == table.target]
        if not found:
            raise TerminalError(f"{table.target} is in the configuration no more", hint="its next turn does not come")
        self._session.sparkContext.setLocalProperty("spark.scheduler.pool", POOL)
        proof = verification.prove(source, found[0])
        if not self._stop.is_set():
            verification.record(proof)
        if found[0].quality and not self._stop.is_set():
            self._judge(source, found[0])
        return proof

    def _judge(self, source: SourceConfig, table: TableConfig) -> None:
        """Look at the table by its rules of quality, too."""
        target = source.target_of(table)
        try:
            verdicts = Quality(self._config, self._session).look(source, table)
        except CdcError as error:
            log.warning("quality not looked at", pipeline=source.name, table=str(target), error=str(error))
            return
        for verdict in verdicts:
            self._metrics.rule_looked(source.name, str(target), verdict.rule.name, verdict.broken)
            if not verdict.holds:
                log.warning(
                    "rule broken in table",
                    pipeline=source.name,
                    table=str(target),
                    rule=verdict.rule.name,
                    rows=verdict.broken,
                    error=verdict.error or None,
                )


@contextmanager
def proving(config: Config, prover: ServiceProver, metrics: Metrics) -> Iterator[None]:
    """Let tables be proved while the block runs, one at a time."""
    if not wanted(config):
        yield
        return
    ended = threading.Event()
    run = Proving(prover, metrics, config.verify.every).run
    thread = threading.Thread(target=run, args=(ended,), name="proofs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        prover.end()
        thread.join(DRAIN_SECONDS)


def wanted(config: Config) -> bool:
    """Return whether the service proves tables by itself; where pyiceberg cannot write, no proof could be kept."""
    return bool(config.verify.every) and not by_spark_alone(config.catalog)
