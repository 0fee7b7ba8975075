"""One description of a Kafka cluster, for both families of clients."""

from collections.abc import Mapping

from cdc.config.services import KafkaConfig


def librdkafka_settings(kafka: KafkaConfig) -> dict[str, str | int | float | bool]:
    """Return the settings of confluent-kafka's clients; the password is in them."""
    settings: dict[str, str | int | float | bool] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": kafka.security_protocol,
        "client.id": "cdc",
        "log_level": 2,
    }
    if kafka.ca_file:
        settings["ssl.ca.location"] = kafka.ca_file
    if kafka.sasl_mechanism:
        settings |= {"sasl.mechanism": kafka.sasl_mechanism, **_credentials(kafka)}
    return settings


def java_settings(kafka: KafkaConfig, prefix: str = "kafka.") -> dict[str, str]:
    """Return the settings of Java clients, as Spark's Kafka source takes them; the password is in them."""
    settings = {"bootstrap.servers": kafka.bootstrap_servers, "security.protocol": kafka.security_protocol}
    if kafka.ca_file:
        settings |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": kafka.ca_file}
    if kafka.sasl_mechanism:
        settings |= {"sasl.mechanism": kafka.sasl_mechanism, "sasl.jaas.config": _jaas(kafka)}
    return {prefix + key: value for key, value in settings.items()}


def _credentials(kafka: KafkaConfig) -> Mapping[str, str]:
    return {"sasl.username": kafka.username or "", "sasl.password": kafka.password.reveal() if kafka.password else ""}


def _jaas(kafka: KafkaConfig) -> str:
    module = "plain.PlainLoginModule" if kafka.sasl_mechanism == "PLAIN" else "scram.ScramLoginModule"
    user, password = (_quoted(text) for text in _credentials(kafka).values())
    return f"org.apache.kafka.common.security.{module} required username={user} password={password};"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
