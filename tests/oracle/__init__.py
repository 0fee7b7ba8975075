"""Debezium's own Oracle connector without an Oracle: its log parsers, converters, source block and dispatcher in a JVM.

Only what a database answers is made up: rows of ``V$LOGMNR_CONTENTS`` (``tests.oracle.log``), what the JDBC driver says
of columns and hands out of rows (``tests.oracle.tables``). Settings are those that the project renders, transforms and
converters are the real ones.
"""

import base64
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, NamedTuple

from cdc.connect.render import render
from cdc.local import system
from cdc.local.artifacts import distribution, fetch
from cdc.local.places import cache
from cdc.local.unpack import VALUES, compile_java
from tests.fakes.configuration import ORACLE, configuration

SOURCES = Path(__file__).parent / "java"
LARGE = {"lob.enabled": "true", "log.mining.strategy": "redo_log_catalog"}
"""What a source needs in ``connector`` to capture large objects."""


class Record(NamedTuple):
    """A message as the connector's worker hands it to Kafka."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Refused(Exception):
    """The connector would have ended; the text is what its classes say, one cause a line."""


def class_path(folder: Path) -> str:
    """Return the class path of the connector, our own classes beside it, and the test's, compiled into a folder."""
    fetch(["worker", "converter", "connectors"], lambda _: None)
    (compiler,) = (cache() / "maven" / "org/eclipse/jdt/ecj").glob("*/ecj-*.jar")
    plugin = distribution("connectors").folder / "debezium-connector-oracle"
    # The worker's own jars come first, as they do in a worker. Our classes are those of this checkout.
    jars = [*sorted(distribution("worker").folder.glob("*.jar")), *sorted(plugin.glob("*.jar"))]
    for number, sources in enumerate((VALUES / "oracle", SOURCES)):
        if sources.is_dir():
            compile_java(sources, compiler, jars, folder / str(number))
    return ":".join(map(str, (folder / "0", folder / "1", *jars)))


class Registry:
    """A registry of schemas by Confluent's API, as far as the converter and the service ask it."""

    def __init__(self) -> None:
        self._schemas: list[str] = []
        self._lock = Lock()
        owner = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer({"id": owner.number(body["schema"])})

            def do_GET(self) -> None:
                number = int(self.path.partition("?")[0].rpartition("/")[2])
                self._answer({"schema": owner.schema(number)})

            def _answer(self, body: dict[str, Any]) -> None:
                text = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def number(self, schema: str) -> int:
        with self._lock:
            if schema not in self._schemas:
                self._schemas.append(schema)
            return self._schemas.index(schema) + 1

    def schema(self, number: int) -> str:
        """Return the text of a schema."""
        return self._schemas[number - 1]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def settings(registry: str, tables: Sequence[dict[str, Any]], name: str = "erp", **connector: str) -> dict[str, str]:
    """Return what the project renders for an Oracle source with these tables; only its history is kept in memory."""
    source = {"name": name, "tables": list(tables), "connector": connector}
    config = configuration(ORACLE | source, registry={"url": registry})
    rendered = render(config.sources[0], config)
    return {
        **rendered,
        "database.password": "none",
        "schema.history.internal": "io.debezium.relational.history.MemorySchemaHistory",
    }


class Connector:
    """A connector in a JVM of its own; what it says beside its answers goes to ``log``."""

    def __init__(self, classes: str, log: Path) -> None:
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [system.java(), "-Xmx512m", "-cp", classes, "cdc.oracle.Peer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
        )

    def open(self, rendered: dict[str, str]) -> None:
        """Start anew, with these settings, no tables, and an empty buffer."""
        plugin = str(distribution("converter").folder / "apicurio")
        self._ask({"do": "open", "settings": rendered, "plugin": plugin})

    def learn(self, owner: str, table: str, columns: Sequence[dict[int, Any]], key: Sequence[str] = ("ID",)) -> None:
        """Let it know a table as its driver describes it, which is what a connector begins with."""
        self._ask({"do": "learn", "owner": owner, "table": table, "columns": columns, "key": list(key)})

    def mine(self, rows: Sequence[dict[int, Any]]) -> list[Record]:
        """Return what it makes of rows of LogMiner; raises Refused where it would end."""
        return self._records({"do": "mine", "rows": list(rows)})

    def read(self, owner: str, table: str, scn: int, rows: Sequence[Sequence[Any]]) -> list[Record]:
        """Return what its snapshot makes of rows as the driver hands them out."""
        return self._records({"do": "read", "owner": owner, "table": table, "scn": str(scn), "rows": rows})

    def errors(self, script: str) -> list[str]:
        """Return what the grammar of Oracle's SQL inside Debezium has against statements."""
        found: list[str] = self._ask({"do": "parse", "script": script})["errors"]
        return found

    def start_from(self, scn: int) -> None:
        """Start from a place, with an empty buffer."""
        self._ask({"do": "start", "scn": str(scn)})

    def offset(self) -> dict[str, Any]:
        """Return the offset that Connect would store now."""
        found: dict[str, Any] = self._ask({"do": "mine", "rows": []})["position"]
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._log.close()

    def _records(self, command: dict[str, Any]) -> list[Record]:
        return [
            Record(m["topic"], _bytes(m["key"]), _bytes(m["value"]), [(n, _bytes(v) or b"") for n, v in m["headers"]])
            for m in self._ask(command)["messages"]
        ]

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the connector's process has ended with {self._process.poll()}"
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer


@contextmanager
def connector(folder: Path) -> Iterator[Connector]:
    """Run a connector's process while the block runs."""
    classes = folder / "classes"
    classes.mkdir()
    one = Connector(class_path(classes), folder / "connector.log")
    try:
        yield one
    finally:
        one.close()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
