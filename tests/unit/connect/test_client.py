"""The REST client: what is asked, and what answers become."""

import httpx
import pytest

from cdc.config.services import ConnectConfig
from cdc.connect.client import ConnectClient
from cdc.core.errors import TerminalError, TransientError


def client(handler):
    return ConnectClient(ConnectConfig(url="http://connect:8083"), transport=httpx.MockTransport(handler))


def answering(code, body=None, **options):
    return client(lambda _request: httpx.Response(code, json=body, **options))


def test_a_missing_connector_is_none():
    missing = answering(404, {"error_code": 404, "message": "Connector x not found"})
    assert missing.config("x") is None
    assert missing.status("x") is None
    assert missing.delete("x") is False


@pytest.mark.parametrize("code", [409, 429, 500, 502, 503])
def test_trouble_that_passes_is_transient(code):
    with pytest.raises(TransientError, match=f"register connector 'x'.*HTTP {code}: why"):
        answering(code, {"error_code": code, "message": "why"}).put("x", {})


@pytest.mark.parametrize("code", [400, 401, 403, 405, 422])
def test_a_refusal_is_terminal(code):
    with pytest.raises(TerminalError, match=f"HTTP {code}: why"):
        answering(code, {"error_code": code, "message": "why"}).put("x", {})


def test_connect_away_is_transient_with_a_hint():
    def refuse(_request):
        raise httpx.ConnectError("Connection refused")

    with pytest.raises(TransientError, match="Connection refused") as caught:
        client(refuse).version()
    assert "connect.url" in caught.value.hint


def test_an_answer_that_is_no_json_is_named():
    with pytest.raises(TerminalError, match="does not answer in JSON"):
        client(lambda _r: httpx.Response(200, text="<html>")).version()


def test_a_missing_plugin_is_named_before_anything_is_asked_of_it():
    plugins = [{"class": "io.debezium.connector.mysql.MySqlConnector"}]
    with pytest.raises(TerminalError, match="has no plugin io") as caught:
        answering(200, plugins).validate({"connector.class": "io.debezium.X"})
    assert "MySqlConnector" in caught.value.hint


def test_names_are_escaped_in_paths():
    seen = []

    def handler(request):
        seen.append(request.url.raw_path)
        return httpx.Response(204)

    client(handler).pause("a/b c")
    client(handler).restart_failed("x")
    assert seen == [b"/connectors/a%2Fb%20c/pause", b"/connectors/x/restart?includeTasks=true&onlyFailed=true"]


def test_validation_collects_complaints():
    def handler(request):
        if request.method == "GET":
            return httpx.Response(200, json=[{"class": "C"}])
        configs = [{"value": {"name": "a", "errors": ["bad"]}}, {"value": {"name": "b", "errors": []}}, {"value": None}]
        return httpx.Response(200, json={"error_count": 1, "configs": configs})

    assert client(handler).validate({"connector.class": "C"}) == [("a", "bad")]


def test_what_a_connector_runs_with_and_where_it_is():
    config = {"table.include.list": "a"}
    assert answering(200, [{"id": {"connector": "x", "task": 0}, "config": config}]).tasks("x") == [config]
    offsets = [{"partition": {"server": "x"}, "offset": {"lsn": 1}}]
    assert answering(200, {"offsets": offsets}).offsets("x") == offsets
    missing = answering(404, {"error_code": 404, "message": "Connector x not found"})
    assert (missing.tasks("x"), missing.offsets("x")) == ([], [])
