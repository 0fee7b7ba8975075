"""The use case of connectors with its real parts."""

from cdc.config.models import Config
from cdc.connect.client import ConnectClient
from cdc.connect.render import render
from cdc.kafka.topics import KafkaTopics
from cdc.pipeline.register import Connectors


def connectors_of(config: Config) -> Connectors:
    """Return the connectors of a configuration, against its Connect and Kafka clusters."""
    return Connectors(
        config, lambda source: render(source, config), ConnectClient(config.connect), KafkaTopics(config.kafka)
    )
