"""What confluent-kafka's errors mean to the project: one place of translation."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from cdc.core.errors import CdcError, TerminalError, TransientError

_REFUSED = frozenset({
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._AUTHENTICATION,  # noqa: SLF001  # librdkafka's own name for it
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.INVALID_CONFIG,
    KafkaError.POLICY_VIOLATION,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
})  # fmt: skip


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn Kafka's errors inside into the project's; ``what`` completes "could not .."."""
    try:
        yield
    except KafkaException as error:
        raise translate(what, error.args[0] if error.args else error) from error


def translate(what: str, error: object) -> CdcError:
    """Return the project's error: refusals are terminal, everything else may pass."""
    text = error.str() if isinstance(error, KafkaError) else str(error)
    if isinstance(error, KafkaError) and error.code() in _REFUSED:
        return TerminalError(
            f"could not {what}: {text}", hint="check the principal's rights and kafka in the configuration"
        )
    return TransientError(f"could not {what}: {text}", hint="is the cluster up, and kafka.bootstrap_servers right?")
