"""The schema registry, read by schema id; ids are never reused, so what was read once is kept."""

from collections.abc import Callable
from typing import TypeVar

import httpx2  # the HTTP client inside confluent-kafka, whose errors come through
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from cdc.config.services import RegistryConfig
from cdc.core.errors import CdcError, PoisonEvent, TerminalError, TransientError

TIMEOUT = 10
"""Seconds that one request to the registry may take."""

_Answer = TypeVar("_Answer")


class UnknownSchema(PoisonEvent, KeyError):
    """The registry does not know the schema id of a message."""

    def __str__(self) -> str:
        return str(self.args[0])


class SchemaRegistry:
    """Schemas by id. Safe to share between threads; TransientError when the registry does not answer."""

    def __init__(self, registry: RegistryConfig) -> None:
        self._url = registry.url
        self._client = SchemaRegistryClient(_settings(registry))
        self._schemas: dict[int, str] = {}

    def schema(self, schema_id: int) -> str:
        """Return the schema's text; raises UnknownSchema if the registry has no such id."""
        if schema_id not in self._schemas:
            self._schemas[schema_id] = self._read(schema_id)
        return self._schemas[schema_id]

    def check(self) -> None:
        """Raise TransientError unless the registry answers."""
        self._ask("list subjects", self._client.get_subjects)

    def subjects(self) -> list[str]:
        """Return the names of all subjects."""
        return list(self._ask("list subjects", self._client.get_subjects))

    def _read(self, schema_id: int) -> str:
        schema = self._ask(f"read schema {schema_id}", lambda: self._client.get_schema(schema_id))
        if not schema.schema_str:
            raise UnknownSchema(f"schema registry {self._url} has an empty schema {schema_id}")
        return str(schema.schema_str)

    def _ask(self, what: str, call: Callable[[], _Answer]) -> _Answer:
        try:
            return call()
        except SchemaRegistryError as error:
            raise self._translated(what, error) from error
        except (httpx2.HTTPError, OSError) as error:
            raise TransientError(
                f"could not {what} at schema registry {self._url}: {error}",
                hint="is the registry up, and registry.url right?",
            ) from error

    def _translated(self, what: str, error: SchemaRegistryError) -> CdcError:
        message = f"could not {what} at schema registry {self._url}: {error.error_message}"
        match error.http_status_code:
            case 404:
                return UnknownSchema(
                    message, hint="the registry lost its schemas, or the messages come from another one"
                )
            case 401 | 403:
                return TerminalError(message, hint="check registry.username and registry.password")
            case _:
                return TransientError(message, hint="look into the log of the registry")


def _settings(registry: RegistryConfig) -> dict[str, object]:
    settings: dict[str, object] = {"url": registry.url, "timeout": TIMEOUT, "max.retries": 0}
    if registry.username:
        password = registry.password.reveal() if registry.password else ""
        settings["basic.auth.user.info"] = f"{registry.username}:{password}"
    return settings
