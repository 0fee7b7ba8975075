"""The real parts that operators' commands work with; none of them needs Spark."""

from dataclasses import dataclass

from pyiceberg.catalog import Catalog

from cdc.config.models import Config
from cdc.core.progress import TopicState
from cdc.kafka.topics import KafkaTopics
from cdc.lake.audit import AuditLog
from cdc.lake.checkpoints import Histories, Ledger
from cdc.lake.control import Control
from cdc.lake.pyiceberg_catalog import open_catalog
from cdc.lake.rewind import Rewinder
from cdc.lazy import lazy
from cdc.pipeline.rewind import Operations


class TopicStates:
    """Topics of the configured cluster, each asked for afresh."""

    def __init__(self, config: Config) -> None:
        self._topics = KafkaTopics(config.kafka)

    def state(self, topic: str) -> TopicState | None:
        """Return the topic's id and watermarks, None if there is none; raises TransientError."""
        found = self._topics.describe([topic]).get(topic)
        return found and TopicState(found.id, {p: (marks.low, marks.high) for p, marks in found.watermarks.items()})


@dataclass(frozen=True)
class OperatorParts:
    """The parts of one configuration, each made when it is first asked for."""

    config: Config

    @lazy
    def catalog(self) -> Catalog:
        """Return the catalog."""
        return open_catalog(self.config.catalog)

    @lazy
    def operations(self) -> Operations:
        """Return what changes of tables work with."""
        namespace = self.config.metadata_namespace
        return Operations(
            Histories(self.catalog),
            TopicStates(self.config),
            Control(self.catalog, namespace),
            AuditLog(self.catalog, namespace),
        )

    @lazy
    def ledger(self) -> Ledger:
        """Return the ledger of commits."""
        return Ledger(self.catalog, self.config.metadata_namespace)

    @lazy
    def rewinder(self) -> Rewinder:
        """Return what moves tables."""
        return Rewinder(self.catalog)
