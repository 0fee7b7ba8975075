"""One description of the cluster, two families of clients."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc.config.services import KafkaConfig
from cdc.core.errors import TerminalError, TransientError
from cdc.kafka.client import java_settings, librdkafka_settings
from cdc.kafka.errors import translated


def kafka(**values):
    return KafkaConfig.model_validate(
        {"bootstrap_servers": "k:9092"} | values, context={"resolve": lambda _kind, _name: 'p"w\\d'}
    )


def test_plaintext():
    assert java_settings(kafka()) == {"kafka.bootstrap.servers": "k:9092", "kafka.security.protocol": "PLAINTEXT"}
    assert librdkafka_settings(kafka())["bootstrap.servers"] == "k:9092"


def test_sasl_over_tls():
    config = kafka(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        username="u",
        password="${env:P}",
        ca_file="/ca.pem",
    )
    assert java_settings(config, prefix="") == {
        "bootstrap.servers": "k:9092",
        "security.protocol": "SASL_SSL",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": "/ca.pem",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": 'org.apache.kafka.common.security.scram.ScramLoginModule required username="u" '
        'password="p\\"w\\\\d";',
    }
    assert {k: v for k, v in librdkafka_settings(config).items() if k.startswith(("s", "b"))} == {
        "bootstrap.servers": "k:9092",
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "/ca.pem",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": 'p"w\\d',
    }


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, TerminalError),
        (KafkaError.INVALID_REPLICATION_FACTOR, TerminalError),
        (KafkaError._TRANSPORT, TransientError),  # noqa: SLF001
        (KafkaError._TIMED_OUT, TransientError),  # noqa: SLF001
        (KafkaError.NOT_CONTROLLER, TransientError),
    ],
)
def test_refusals_are_terminal_and_the_rest_may_pass(code, kind):
    """K22."""
    with pytest.raises(kind, match="could not create topic"), translated("create topic"):
        raise KafkaException(KafkaError(code))
