"""Kafka Connect over its REST API."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from cdc.config.services import ConnectConfig
from cdc.core.errors import CdcError, TerminalError, TransientError

_UNREACHABLE = "is Connect up, and connect.url right?"


class ConnectClient:
    """One Connect cluster. TransientError when it does not answer or is rebalancing, TerminalError when it refuses."""

    def __init__(
        self, connect: ConnectConfig, *, timeout: float = 15.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        password = connect.password.reveal() if connect.password else ""
        self._http = httpx.Client(
            base_url=connect.url,
            timeout=timeout,
            transport=transport,
            auth=(connect.username, password) if connect.username else None,
        )
        self._url = connect.url

    def version(self) -> str:
        """Return the version of the worker that answers."""
        return str(self._json("GET", "/", "reach Connect")["version"])

    def plugins(self) -> frozenset[str]:
        """Return the connector classes that the cluster can run."""
        listed = self._json("GET", "/connector-plugins", "list the connector plugins")
        return frozenset(str(plugin["class"]) for plugin in listed)

    def names(self) -> frozenset[str]:
        """Return the names of all connectors."""
        return frozenset(self._json("GET", "/connectors", "list the connectors"))

    def config(self, name: str) -> dict[str, str] | None:
        """Return the settings of a connector, or None if there is none."""
        return self._object(f"/connectors/{quote(name, safe='')}/config", f"read connector {name!r}")

    def status(self, name: str) -> dict[str, Any] | None:
        """Return the state of the connector and its tasks, or None if there is none."""
        return self._object(f"/connectors/{quote(name, safe='')}/status", f"read the status of connector {name!r}")

    def tasks(self, name: str) -> list[dict[str, str]]:
        """Return the settings that each task runs with, or is about to; none if there is no connector."""
        answer = self._json_or_none(f"/connectors/{quote(name, safe='')}/tasks", f"read the tasks of {name!r}")
        return [dict(task["config"]) for task in answer or ()]

    def offsets(self, name: str) -> list[dict[str, Any]]:
        """Return where the connector is, in its own words; nothing if there is none."""
        answer = self._object(f"/connectors/{quote(name, safe='')}/offsets", f"read the offsets of connector {name!r}")
        return list(answer["offsets"]) if answer else []

    def validate(self, settings: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return what the connector's own class finds wrong: pairs of setting and complaint."""
        kind = settings["connector.class"]
        self._known(kind)
        path = f"/connector-plugins/{kind}/config/validate"
        # The class connects to the database, and gives up on its own after half a minute.
        answer = self._json(
            "PUT", path, f"validate connector {settings.get('name')!r}", json=dict(settings), timeout=90.0
        )
        values = [config["value"] for config in answer.get("configs", ()) if config.get("value")]
        return [(str(value["name"]), str(text)) for value in values for text in value.get("errors", ())]

    def put(self, name: str, settings: Mapping[str, str]) -> None:
        """Create or change the connector; idempotent."""
        self._send(
            "PUT",
            f"/connectors/{quote(name, safe='')}/config",
            f"register connector {name!r}",
            json=dict(settings),
            timeout=90.0,
        )

    def pause(self, name: str) -> None:
        """Ask for the tasks to pause; answered before it is done."""
        self._send("PUT", f"/connectors/{quote(name, safe='')}/pause", f"pause connector {name!r}")

    def resume(self, name: str) -> None:
        """Ask a paused or stopped connector to run; answered before it is done."""
        self._send("PUT", f"/connectors/{quote(name, safe='')}/resume", f"resume connector {name!r}")

    def stop(self, name: str) -> None:
        """Ask for the tasks to end; answered before it is done."""
        self._send("PUT", f"/connectors/{quote(name, safe='')}/stop", f"stop connector {name!r}")

    def restart_failed(self, name: str) -> None:
        """Restart the connector if it failed, and those of its tasks that did."""
        path = f"/connectors/{quote(name, safe='')}/restart?includeTasks=true&onlyFailed=true"
        self._send("POST", path, f"restart connector {name!r}")

    def restart(self, name: str) -> None:
        """Restart the connector and all of its tasks, whatever state they are in."""
        path = f"/connectors/{quote(name, safe='')}/restart?includeTasks=true&onlyFailed=false"
        self._send("POST", path, f"restart connector {name!r}")

    def delete_offsets(self, name: str) -> None:
        """Forget where the stopped connector was."""
        self._send("DELETE", f"/connectors/{quote(name, safe='')}/offsets", f"delete the offsets of connector {name!r}")

    def delete(self, name: str) -> bool:
        """Remove the connector; False if there was none."""
        response = self._ask("DELETE", f"/connectors/{quote(name, safe='')}", f"remove connector {name!r}")
        if response.status_code == httpx.codes.NOT_FOUND:
            return False
        self._check(response, f"remove connector {name!r}")
        return True

    def _known(self, kind: str) -> None:
        if kind not in (known := self.plugins()):
            listed = ", ".join(sorted(k for k in known if "debezium" in k)) or "no Debezium connector at all"
            raise TerminalError(
                f"Connect at {self._url} has no plugin {kind}",
                hint=f"install it in plugin.path; the cluster has {listed}",
            )

    def _object(self, path: str, what: str) -> dict[str, Any] | None:
        answer = self._json_or_none(path, what)
        return None if answer is None else dict(answer)

    def _json_or_none(self, path: str, what: str) -> Any:  # noqa: ANN401  # JSON
        response = self._ask("GET", path, what)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        self._check(response, what)
        return self._decoded(response, what)

    def _json(self, method: str, path: str, what: str, **options: Any) -> Any:  # noqa: ANN401  # JSON
        response = self._ask(method, path, what, **options)
        self._check(response, what)
        return self._decoded(response, what)

    def _send(self, method: str, path: str, what: str, **options: Any) -> None:  # noqa: ANN401  # httpx's options
        self._check(self._ask(method, path, what, **options), what)

    def _ask(self, method: str, path: str, what: str, **options: Any) -> httpx.Response:  # noqa: ANN401  # httpx's options
        try:
            return self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise TransientError(f"could not {what} at {self._url}: {reason}", hint=_UNREACHABLE) from error

    def _check(self, response: httpx.Response, what: str) -> None:
        if response.is_success:
            return
        raise _refusal(
            response.status_code, f"could not {what} at {self._url}: HTTP {response.status_code}: {_reason(response)}"
        )

    def _decoded(self, response: httpx.Response, what: str) -> Any:  # noqa: ANN401  # JSON
        try:
            return response.json()
        except ValueError as error:
            raise TerminalError(f"could not {what}: {self._url} does not answer in JSON", hint=_UNREACHABLE) from error


def _refusal(code: int, message: str) -> CdcError:
    """409 is a rebalance that passes, 5xx the worker's trouble; what else is refused stays refused."""
    if code in (httpx.codes.CONFLICT, httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS) or code >= 500:
        return TransientError(message, hint="a rebalance passes; else look into the log of the Connect worker")
    hints = {401: "check connect.username and connect.password", 403: "check connect.username and connect.password"}
    return TerminalError(message, hint=hints.get(code, "look into the log of the Connect worker, and cdc doctor"))


def _reason(response: httpx.Response) -> str:
    try:
        answer = response.json()
    except ValueError:
        return response.text[:200]
    return str(answer.get("message", answer))[:500] if isinstance(answer, dict) else str(answer)[:200]
