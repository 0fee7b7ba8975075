"""Bad inputs of the command line, as data: a sentence each, what is given, and what has to be said."""

# ruff: noqa: E501 - a row each

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

SECRET = "canary-7c1f"
GONE = "127.0.0.1:1"
"""Where nobody listens."""

Document = dict[str, Any]
Edit = Callable[[Document], None]


@dataclass(frozen=True)
class Bad:
    """One bad input: the words of the command (CONFIG and FOLDER are filled in), and what is expected of it.

    ``file`` is the configuration as text or bytes, or what is changed in a good one; None gives none. ``says`` and
    ``hint`` are patterns of cause and next step.
    """

    name: str
    words: str
    says: str
    hint: str = r"hint: "
    code: int = 1
    file: str | bytes | Edit | None = field(default=lambda _document: None)
    variables: Mapping[str, str] = field(default_factory=dict)


def document(folder: str, catalog: Mapping[str, Any] | None = None) -> Document:
    """Return a configuration in which nothing is wrong, but that nobody answers."""
    return {
        "kafka": {"bootstrap_servers": GONE},
        "registry": {"url": f"http://{GONE}"},
        "connect": {"url": f"http://{GONE}"},
        "catalog": dict(catalog or {"type": "hadoop", "warehouse": f"{folder}/warehouse"}),
        "stream": {"checkpoint": f"{folder}/checkpoint"},
        "operations": {"http_port": 0},
        "spark": {"jars": f"{folder}/jars"},
        "sources": [
            {
                "name": "shop",
                "type": "postgres",
                "host": "127.0.0.1",
                "port": 1,
                "database": "shop",
                "sslmode": "disable",
                "password": "${env:BAD_INPUTS_PASSWORD}",
                "tables": [{"source": "public.a", "key": ["id"]}, {"source": "public.b", "key": ["id"]}],
            },
            {
                "name": "store",
                "type": "mysql",
                "host": "127.0.0.1",
                "port": 1,
                "database": "store",
                "server_id": 7,
                "ssl_mode": "disabled",
                "password": "${env:BAD_INPUTS_PASSWORD}",
                "tables": [{"source": "store.a", "key": ["id"]}],
            },
        ],
    }


def put(path: str, value: Any) -> Edit:
    """Return an edit that sets ``sources.0.port`` and the like."""

    def edit(target: Document) -> None:
        *parents, last = path.split(".")
        node: Any = target
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
        node[int(last) if isinstance(node, list) else last] = value

    return edit


def drop(path: str) -> Edit:
    """Return an edit that leaves a field out."""

    def edit(target: Document) -> None:
        *parents, last = path.split(".")
        node: Any = target
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node[part]
        del node[last]

    return edit


def catalog(**fields: Any) -> Edit:
    """Return an edit that puts another catalog in."""
    return put("catalog", fields)


def again(source: int, **fields: Any) -> Edit:
    """Return an edit that adds a copy of a source with other fields."""

    def edit(target: Document) -> None:
        target["sources"].append({**copy.deepcopy(target["sources"][source]), **fields})

    return edit


def text_of(file: str | bytes | Edit | None, folder: str) -> bytes | None:
    """Return what is written into the configuration file; None for no file."""
    if file is None or isinstance(file, bytes):
        return file
    if isinstance(file, str):
        return file.encode()
    made = document(folder)
    file(made)
    return yaml.safe_dump(made, sort_keys=False).encode()


CHECK = "config check -c CONFIG"
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

FILES = [
    Bad("no file", CHECK, "does not exist", "--config", file=None),
    Bad("a folder in the place of the file", "config check -c FOLDER", "is a folder", "--config"),
    Bad("an empty file", CHECK, "is empty", "config/minimal.yaml", file=""),
    Bad("a file of comments", CHECK, "is empty", file="# nothing\n"),
    Bad("a list in the place of sections", CHECK, "not a mapping of sections", file="- kafka\n"),
    Bad("a word in the place of sections", CHECK, "not a mapping of sections", file="kafka\n"),
    Bad("a bracket that is left open", CHECK, "is not YAML: line", file="kafka: {a: [1\n"),
    Bad("tabs as indentation", CHECK, r"is not YAML: line 2", file="kafka:\n\tbootstrap_servers: a:1\n"),
    Bad("two documents in one file", CHECK, "is not YAML", file="kafka: {}\n---\nkafka: {}\n"),
    Bad("a key given twice", CHECK, "given twice", file="kafka: {}\nkafka: {}\n"),
    Bad("an anchor that is nowhere", CHECK, "is not YAML.*undefined alias", file="kafka: *nowhere\n"),
    Bad("a part that holds itself", CHECK, "refers to itself", "anchors", file="kafka: &k\n  a: *k\n"),
    Bad("anchors that grow without end", CHECK, "far too large", "anchors", file=LAUGHS),
    Bad(
        "nested so deeply that a parser by C ends the process", CHECK, "nested too deeply", file="k: " + "{a: " * 99_999
    ),
    Bad("nested without end", CHECK, "nested too deeply", file="kafka: " + "[" * 5000),
    Bad("not UTF-8", CHECK, "is not UTF-8", "save it as UTF-8", file=b"kafka: {bootstrap_servers: \xff\xfe}\n"),
    Bad("UTF-16", CHECK, "is not UTF-8", file="kafka: {}\n".encode("utf-16")),
    Bad("a NUL in the file", CHECK, "is not YAML", file="kafka: \0\n"),
    Bad("a date that is none", CHECK, "cannot be read", "quotes", file="kafka: 2026-99-99\n"),
    Bad("a number without end", CHECK, "cannot be read", "quotes", file="kafka: " + "9" * 5000 + "\n"),
    Bad("a tag of Python", CHECK, "is not YAML.*constructor", file="kafka: !!python/object:os.system {}\n"),
    Bad("a list as a key", CHECK, "is not YAML", file="? [a, b]\n: c\n"),
    Bad("a number as a section", CHECK, "must be a name|unknown field", file="1: 2\n"),
    Bad("nothing that is needed", CHECK, "kafka: is missing", file="version: 1\n"),
    Bad("another version of the format", CHECK, "version: must be 1", file=put("version", 2)),
]

FIELDS = [
    Bad(
        "an unknown field",
        CHECK,
        'kafka.partitons: unknown field; did you mean "partitions"',
        file=put("kafka.partitons", 1),
    ),
    Bad("an unknown section", CHECK, "kafkas: unknown field", file=put("kafkas", {})),
    Bad("a section that is a number", CHECK, "kafka: must be a mapping", file=put("kafka", 5)),
    Bad("a section without anything", CHECK, "kafka: must be a mapping", file=put("kafka", None)),
    Bad("a word for a number", CHECK, "kafka.partitions: must be a whole number", file=put("kafka.partitions", "many")),
    Bad("half a partition", CHECK, "kafka.partitions: must be a whole number", file=put("kafka.partitions", 1.5)),
    Bad("no partitions", CHECK, "kafka.partitions: must be greater", file=put("kafka.partitions", 0)),
    Bad("a word for true", CHECK, "load.auto: must be true or false", file=put("load.auto", "perhaps")),
    Bad("a number for a name", CHECK, r"sources\[0\].name: must be text", file=put("sources.0.name", 7)),
    Bad("a port out of range", CHECK, r"sources\[0\].port: must be less", file=put("sources.0.port", 70000)),
    Bad("a port below one", CHECK, r"sources\[0\].port: must be greater", file=put("sources.0.port", 0)),
    Bad("a health port out of range", CHECK, "operations.http_port", file=put("operations.http_port", 65536)),
    Bad(
        "a health host with a port",
        CHECK,
        "operations.http_host: .*alone",
        file=put("operations.http_host", "0.0.0.0:1"),
    ),
    Bad("a duration without a unit", CHECK, "stream.trigger: a duration", file=put("stream.trigger", "10")),
    Bad("a duration below nothing", CHECK, "stream.trigger: a duration", file=put("stream.trigger", -5)),
    Bad("a duration without end", CHECK, "stream.trigger: a duration", file=put("stream.trigger", float("inf"))),
    Bad("a duration that is no number", CHECK, "stream.trigger: a duration", file=put("stream.trigger", float("nan"))),
    Bad("a duration of ages", CHECK, "kafka.retention: a duration", file=put("kafka.retention", "99999999999d")),
    Bad("a lease of no time", CHECK, "stream.lease_ttl: must be longer", file=put("stream.lease_ttl", "0s")),
    Bad("a heartbeat of no time", CHECK, r"heartbeat: must be longer", file=put("sources.0.heartbeat", "0ms")),
    Bad("a size with an unknown unit", CHECK, "load.range_bytes: a size", file=put("load.range_bytes", "12x")),
    Bad("a size beyond all disks", CHECK, "load.range_bytes: a size", file=put("load.range_bytes", "9" * 30 + "g")),
    Bad("a size too small", CHECK, "load.range_bytes: must be greater", file=put("load.range_bytes", 10)),
    Bad("memory that Java does not know", CHECK, "spark.driver_memory", file=put("spark.driver_memory", "much")),
    Bad(
        "a broker without a port",
        CHECK,
        "bootstrap_servers: must be host:port",
        file=put("kafka.bootstrap_servers", "kafka"),
    ),
    Bad(
        "a broker with a scheme",
        CHECK,
        "bootstrap_servers: must be host:port",
        file=put("kafka.bootstrap_servers", "http://kafka:9092"),
    ),
    Bad("a second broker that is none", CHECK, "number 2 is not", file=put("kafka.bootstrap_servers", "a:1,b")),
    Bad("a broker's port out of range", CHECK, "must be host:port", file=put("kafka.bootstrap_servers", "a:99999")),
    Bad("Connect without a scheme", CHECK, "connect.url: must be an address", file=put("connect.url", "connect:8083")),
    Bad(
        "Connect's port out of range",
        CHECK,
        "connect.url: must be an address",
        file=put("connect.url", "http://c:99999"),
    ),
    Bad(
        "a password in an address",
        CHECK,
        "connect.url: holds credentials",
        file=put("connect.url", f"http://u:{SECRET}@c"),
    ),
    Bad("a registry that is no address", CHECK, "registry.url", file=put("registry.url", "//")),
    Bad("a host with a port", CHECK, r"sources\[0\].host: must be .* alone", file=put("sources.0.host", "db:5432")),
    Bad("a host with spaces", CHECK, r"sources\[0\].host", file=put("sources.0.host", "my db")),
    Bad("no host", CHECK, r"sources\[0\].host", file=put("sources.0.host", "")),
    Bad("no database", CHECK, r"sources\[0\].database: must be a name", file=put("sources.0.database", " ")),
    Bad("an unknown kind of source", CHECK, "type must be one of", file=put("sources.0.type", "postgresql")),
    Bad("a source without a kind", CHECK, "type is missing", file=drop("sources.0.type")),
    Bad("an unknown kind of catalog", CHECK, "type must be one of", file=put("catalog.type", "unity")),
    Bad("a catalog without a warehouse", CHECK, "catalog.warehouse: is missing", file=drop("catalog.warehouse")),
    Bad(
        "a catalog that is no JDBC address",
        CHECK,
        "catalog.uri: must be jdbc:",
        file=catalog(type="jdbc", uri="postgres://c/c", warehouse="w"),
    ),
    Bad(
        "a catalog in another database",
        CHECK,
        "catalog.uri: must be jdbc:",
        file=catalog(type="jdbc", uri="jdbc:oracle:thin:@c", warehouse="w"),
    ),
    Bad(
        "a password in JDBC's address",
        CHECK,
        "catalog.uri: holds credentials",
        file=catalog(type="jdbc", uri=f"jdbc:postgresql://c/c?password={SECRET}", warehouse="w"),
    ),
    Bad(
        "a REST catalog without a scheme",
        CHECK,
        "catalog.uri: must be an address",
        file=catalog(type="rest", uri="catalog:8181", warehouse="w"),
    ),
    Bad(
        "a metastore without a scheme",
        CHECK,
        "catalog.uri: .*thrift",
        file=catalog(type="hive", uri="m:9083", warehouse="w"),
    ),
    Bad(
        "a folder's catalog on an object store",
        CHECK,
        "object store",
        file=catalog(type="hadoop", warehouse="s3://lake"),
    ),
    Bad("no sources", CHECK, "sources: must not be empty", file=put("sources", [])),
    Bad("a source in the place of sources", CHECK, "sources: must be a list", file=put("sources", {"name": "shop"})),
    Bad(
        "a number in the place of sources",
        "config check -c CONFIG --source shop",
        "sources: must be a list",
        file=put("sources", 5),
    ),
    Bad("no tables", CHECK, r"sources\[0\].tables: must not be empty", file=put("sources.0.tables", [])),
    Bad("a key without columns", CHECK, r"key: must not be empty", file=put("sources.0.tables.0.key", [])),
    Bad("a key column twice", CHECK, "named twice", file=put("sources.0.tables.0.key", ["id", "id"])),
    Bad("a key column without a name", CHECK, "has no name", file=put("sources.0.tables.0.key", [""])),
    Bad("a key column that is ours", CHECK, "reserved", file=put("sources.0.tables.0.key", ["_cdc_op"])),
    Bad("a key column that is Iceberg's", CHECK, "reserved", file=put("sources.0.tables.0.key", ["_file"])),
    Bad("a key that is text", CHECK, "key: must be a list", file=put("sources.0.tables.0.key", "id")),
    Bad("a table without a namespace", CHECK, "expected namespace.table", file=put("sources.0.tables.0.source", "a")),
    Bad("a table in three parts", CHECK, "expected namespace.table", file=put("sources.0.tables.0.source", "a.b.c")),
    Bad("a quote that is left open", CHECK, "cannot parse table name", file=put("sources.0.tables.0.source", 'a."b')),
    Bad(
        "a table with too long a name",
        CHECK,
        "longer than the 63",
        file=put("sources.0.tables.0.source", f"public.{'x' * 64}"),
    ),
    Bad("a column with too long a name", CHECK, "longer than the 63", file=put("sources.0.tables.0.key", ["ä" * 32])),
    Bad("a source with too long a name", CHECK, r"sources\[0\].name: must match", file=put("sources.0.name", "x" * 40)),
    Bad("a source with capitals", CHECK, r"sources\[0\].name: must match", file=put("sources.0.name", "Shop")),
    Bad(
        "a topic longer than Kafka allows",
        CHECK,
        "longer than the 249",
        file=put(
            "sources",
            [
                {
                    "name": "erp",
                    "type": "oracle",
                    "host": "h",
                    "database": "d",
                    "password": "${env:BAD_INPUTS_PASSWORD}",
                    "tables": [{"source": f"{'S' * 128}.{'T' * 128}", "key": ["ID"]}],
                }
            ],
        ),
    ),
    Bad(
        "a mode that is not there yet",
        CHECK,
        "reserved and not implemented",
        file=put("sources.0.tables.0.mode", "append"),
    ),
    Bad(
        "a partition term that is none",
        CHECK,
        "no partition term",
        file=put("sources.0.tables.0.partition_by", ["bucket(id, 16)"]),
    ),
    Bad(
        "a partition term with an unknown transform",
        CHECK,
        "no partition term",
        file=put("sources.0.tables.0.partition_by", ["week(at)"]),
    ),
    Bad(
        "a partition term twice",
        CHECK,
        "given twice",
        file=put("sources.0.tables.0.partition_by", ["day(at)", "days(at)"]),
    ),
    Bad(
        "a table property with a wrong value",
        CHECK,
        "write.format.default.* must be one of",
        file=put("sources.0.tables.0.properties", {"write.format.default": "csv"}),
    ),
    Bad(
        "a table format that cannot delete",
        CHECK,
        "format-version.* must be one of",
        file=put("sources.0.tables.0.properties", {"format-version": 1}),
    ),
    Bad(
        "a table property that is no number",
        CHECK,
        "must be a whole number",
        file=put("sources.0.tables.0.properties", {"write.target-file-size-bytes": "big"}),
    ),
    Bad(
        "a table property that is ours",
        CHECK,
        "reserved",
        file=put("sources.0.tables.0.properties", {"cdc.offsets": "{}"}),
    ),
    Bad(
        "a slot that PostgreSQL refuses",
        CHECK,
        r"sources\[0\].slot: must match",
        file=put("sources.0.slot", "CDC-shop"),
    ),
    Bad("a publication with too long a name", CHECK, r"publication: ", file=put("sources.0.publication", "p" * 64)),
    Bad("a server id out of range", CHECK, r"server_id: must be less", file=put("sources.1.server_id", 2**32)),
    Bad("no server id", CHECK, "server_id: is missing", file=drop("sources.1.server_id")),
    Bad("a placeholder that rows may hold", CHECK, "placeholder: ", file=put("sources.0.placeholder", "x")),
]

TOGETHER = [
    Bad("two sources of one name", CHECK, "two sources have the same name", file=again(0)),
    Bad("two targets of one name", CHECK, "target", file=put("sources.0.tables.1.target", "shop.a")),
    Bad("one table twice", CHECK, "public.a is listed twice", file=put("sources.0.tables.1.source", "public.a")),
    Bad("two server ids of one number", CHECK, "both have server_id 7", file=again(1, name="other", tables=[{"source": "store.b", "key": ["id"]}])),
    Bad("one slot for two", CHECK, "both have slot 'same'", file=lambda d: [put("sources.0.slot", "same")(d), again(0, name="other")(d)]),
    Bad("a target among the service's tables", CHECK, "metadata_namespace", file=put("sources.0.tables.0.target", "cdc.status")),
    Bad("Avro without a registry", CHECK, "registry is missing", file=drop("registry")),
    Bad("SASL without credentials", CHECK, "needs sasl_mechanism, username, password", file=put("kafka.security_protocol", "SASL_SSL")),
    Bad("a SASL mechanism without SASL", CHECK, "is not SASL_SSL", file=put("kafka.sasl_mechanism", "PLAIN")),
    Bad("a load from Oracle", CHECK, "not implemented for Oracle", file=put("sources.0", {"name": "erp", "type": "oracle", "host": "h", "database": "d", "snapshot": "load", "password": "${env:BAD_INPUTS_PASSWORD}", "tables": [{"source": "A.B", "key": ["ID"]}]})),
    Bad("a connector setting that skips errors", CHECK, "errors.tolerance=all is refused", "remove errors.tolerance", file=put("sources.0.connector", {"errors.tolerance": "all"})),
    Bad("a connector setting that is derived", CHECK, "derived from the rest", file=put("sources.0.connector", {"slot.name": "x"})),
    Bad("a transformation", CHECK, "order needs them all", file=put("sources.0.connector", {"transforms.unwrap.type": "x"})),
    Bad("a connector's password in plain text", CHECK, "database.password is refused", file=put("sources.0.connector", {"database.password": SECRET})),
    Bad("a connector's other secret in plain text", CHECK, "in plain text", file=put("sources.0.connector", {"signal.kafka.secret": SECRET})),
    Bad("two connector settings at once", CHECK, "has 2 problems", file=put("sources.0.connector", {"errors.tolerance": "all", "tasks.max": "2"})),
]  # fmt: skip

SECRETS = [
    Bad("a password in plain text", CHECK, "must be a reference", file=put("sources.0.password", SECRET)),
    Bad("a password under a misspelt name", CHECK, 'pasword: unknown field; did you mean "password"', file=put("sources.0.pasword", SECRET)),
    Bad("a variable that is not set", CHECK, "BAD_INPUTS_NOWHERE is not set", file=put("sources.0.password", "${env:BAD_INPUTS_NOWHERE}")),
    Bad("a secret's file that is not there", CHECK, "does not exist", file=put("sources.0.password", "${file:/nowhere/password}")),
    Bad("a secret's file that is a folder", CHECK, "cannot be read: IsADirectoryError", file=put("sources.0.password", "${file:/tmp}")),
    Bad("a secret's file that is empty", CHECK, "is empty", file=put("sources.0.password", "${file:/dev/null}")),
    Bad("a reference of an unknown kind", CHECK, "must be a reference", file=put("sources.0.password", "${vault:a}")),
    Bad("a reference that is left open", CHECK, "must be a reference", file=put("sources.0.password", "${env:A")),
    Bad("a number for a password", CHECK, "must be a reference", file=put("sources.0.password", 1234)),
    Bad("a variable that overrides nothing", CHECK, 'CDC_KAFAK__X: no such section; did you mean "kafka"', variables={"CDC_KAFAK__X": "1"}),
    Bad("a variable for no source", CHECK, "nothing is named 'shpo'", variables={"CDC_SOURCES__shpo__PORT": "1"}),
    Bad("a variable for a source too many", CHECK, "nothing is named '9'", variables={"CDC_SOURCES__9__PORT": "1"}),
    Bad("a variable that is no list", CHECK, "not a YAML list", variables={"CDC_SOURCES__shop__TABLES__0__KEY": "[id"}),
    Bad("a variable with a wrong value", CHECK, r"sources\[0\].port: must be a whole number", variables={"CDC_SOURCES__shop__PORT": "x"}),
    Bad("a variable inside a plain value", CHECK, "is a plain value", variables={"CDC_KAFKA__BOOTSTRAP_SERVERS__A": "b"}),
]  # fmt: skip

USAGE = r"Try 'cdc .*--help'|hint: "

ARGUMENTS = [
    Bad("no such command", "stat -c CONFIG", "No such command", USAGE, 2),
    Bad("no such sub-command", "tables stop shop.a", "No such command", USAGE, 2),
    Bad("no such option", "status -c CONFIG --tail", "No such option", USAGE, 2),
    Bad("an argument too many", "status shop -c CONFIG", "unexpected extra argument", USAGE, 2),
    Bad("no argument where one is needed", "tables reset -c CONFIG", "Missing argument", USAGE, 2),
    Bad("an option without its value", "status -c", "requires an argument", "requires an argument", 2),
    Bad("an option that is needed", "rewind -c CONFIG --to latest", "Missing option", USAGE, 2),
    Bad("a word for a number of seconds", "connectors apply -c CONFIG --timeout soon", "must be a valid number|should be a valid number", USAGE, 2),
    Bad("no time at all", "connectors apply -c CONFIG --timeout 0", "should be greater than or equal", USAGE, 2),
    Bad("no rows at all", "quarantine show shop.a -c CONFIG --limit 0", "should be greater than or equal", USAGE, 2),
    Bad("rows below nothing", "load -c CONFIG --rows-per-second -1", "should be greater than or equal", USAGE, 2),
    *(
        Bad(f"an unknown source for {words}", f"{words} -c CONFIG --source shpo", 'no source "shpo"', 'did you mean "shop"')
        for words in ("config check", "status", "stream", "verify", "doctor", "load", "tables list", "quarantine list")
    ),
    *(
        Bad(f"an unknown connector for {words}", f"connectors {words} shpo -c CONFIG", 'no source "shpo"', 'did you mean "shop"')
        for words in ("plan", "apply", "status", "pause", "resume", "restart")
    ),
    *(
        Bad(f"an unknown table for {words}", f"{words} -c CONFIG", 'called "shop.aa"', "did you mean")
        for words in (
            "tables pause shop.aa", "tables resume shop.aa", "tables reset shop.aa", "tables reset shop.aa --dry-run",
            "load --tables shop.aa", "checkpoint list --table shop.aa", "checkpoint show latest --table shop.aa",
            "checkpoint rebuild --table shop.aa", "rewind --table shop.aa --to latest --yes",
            "replay --table shop.aa --from earliest", "quarantine show shop.aa", "quarantine discard shop.aa --yes", "quarantine retry shop.aa",
        )
    ),
    Bad("several tables where one is meant", "rewind --table * --to latest --yes -c CONFIG", "tables are called", "give one of"),
    Bad("a key that is not hexadecimal", "quarantine discard shop.a --key xyz --yes -c CONFIG", "not hexadecimal", "quarantine show"),
    Bad("a condition for several tables", "load --where 1=1 -c CONFIG", "for one table", "--tables"),
    Bad("a table whose rows the connector reads", "load --tables public.a -c CONFIG", "snapshot: connector", "snapshot: load", file=put("sources.0.tables.0.snapshot", "connector")),
    Bad("a table that is not in the lake", "checkpoint show latest --table shop.a -c CONFIG", "no table shop.a in the lake", "cdc stream"),
    Bad("a demo of an unknown database", "demo --sources oracle", 'no source "oracle"', "postgres"),
    Bad("a demo without a database", "demo --sources ,", "no source", "postgres"),
    Bad("a demo of no changes", "demo --rate 0", "should be greater than or equal", USAGE, 2),
    Bad("the log of an unknown server", "local logs oracle", 'no server "oracle"', "one of"),
    Bad("a stack of an unknown database", "local up --sources oracle --name bad_inputs", "oracle", "postgres"),
    Bad("a stack with an impossible name", "local env --name ../x", "name", "hint: "),
    Bad("a stack that was never up", "local env --name bad_inputs_never", "never up", "cdc local up"),
    Bad("a folder that is not the repository's", "config schema --write", "could not write", "repository"),
]  # fmt: skip

CATALOG_COMMANDS = (
    "status", "tables list", "tables pause shop.a", "tables resume shop.a", "quarantine list", "quarantine show shop.a",
    "quarantine discard shop.a --yes", "quarantine retry shop.a", "checkpoint list", "checkpoint rebuild",
    "checkpoint show latest --table shop.a", "rewind --table shop.a --to latest --yes",
    "replay --table shop.a --from earliest", "verify", "stream", "load", "tables reset shop.a",
)  # fmt: skip
PLAN, LIST, DRY = "connectors plan store -c CONFIG", "tables list -c CONFIG", "load --dry-run -c CONFIG --source"
JDBC, MYJDBC = "jdbc:postgresql://127.0.0.1:PORT/c?sslmode=disable", "jdbc:mysql://127.0.0.1:PORT/c"

AROUND: list[tuple[str, Bad]] = [
    *(
        ("nobody", Bad(f"no catalog behind {kind} for {words}", f"{words} -c CONFIG", "could not .*refused", r"catalog.uri right\?", file=catalog(type=kind, uri=uri, warehouse="w")))
        for kind, uri in (("rest", "http://127.0.0.1:1"), ("jdbc", "jdbc:postgresql://127.0.0.1:1/c"))
        for words in CATALOG_COMMANDS
    ),
    ("nobody", Bad("no catalog in MySQL", LIST, "Can't connect to MySQL", file=catalog(type="jdbc", uri="jdbc:mysql://127.0.0.1:1/c", warehouse="w"))),
    ("close", Bad("a catalog that hangs up", LIST, "could not read catalog", file=catalog(type="jdbc", uri=JDBC, warehouse="w"))),
    ("close", Bad("a REST catalog that hangs up", LIST, "could not open catalog", file=catalog(type="rest", uri="http://127.0.0.1:PORT", warehouse="w"))),
    ("silent", Bad("a catalog that is silent", LIST, "could not read catalog.*timeout", file=catalog(type="jdbc", uri=JDBC, warehouse="w"))),
    ("postgres", Bad("a catalog that refuses the password", LIST, "password authentication failed", "credentials", file=catalog(type="jdbc", uri=JDBC, warehouse="w", username="u", password="${env:BAD_INPUTS_PASSWORD}"))),
    ("mysql", Bad("a catalog in MySQL that refuses", LIST, "Access denied", "credentials", file=catalog(type="jdbc", uri=MYJDBC, warehouse="w"))),
    ("401", Bad("a REST catalog that refuses", LIST, "could not open catalog", "credentials", file=catalog(type="rest", uri="http://127.0.0.1:PORT", warehouse="w", token="${env:BAD_INPUTS_PASSWORD}"))),
    ("500", Bad("a REST catalog in trouble", LIST, "could not open catalog", r"is it up", file=catalog(type="rest", uri="http://127.0.0.1:PORT", warehouse="w"))),
    ("html", Bad("a REST catalog that is a web page", LIST, "could not open catalog", "address of an Iceberg catalog", file=catalog(type="rest", uri="http://127.0.0.1:PORT", warehouse="w"))),
    ("nobody", Bad("a catalog of Hive without its package", LIST, "could not open catalog.*thrift", "install", file=catalog(type="hive", uri="thrift://127.0.0.1:1", warehouse="w"))),
    ("nobody", Bad("a catalog of Glue without its package", LIST, "could not open catalog.*boto", "install", file=catalog(type="glue", warehouse="s3://w/w"))),
    ("nobody", Bad("a warehouse that is a file", LIST, "could not read table", "warehouse", file=catalog(type="hadoop", warehouse="/dev/null"))),
    ("broken", Bad("a table's metadata that is broken", LIST, "could not read table", "warehouse|catalog")),
    ("broken", Bad("a table's metadata that is broken, for its checkpoints", "checkpoint list -c CONFIG", "could not read table", "warehouse|catalog")),
    *(
        ("nobody", Bad(f"no Connect for {words}", f"connectors {words} -c CONFIG", "Connection refused", "connect.url right"))
        for words in ("plan store", "apply store", "apply store --dry-run", "status", "pause", "resume", "restart --attempts 1", "remove shop")
    ),
    ("close", Bad("a Connect that hangs up", PLAN, "could not read connector", file=put("connect.url", "http://127.0.0.1:PORT"))),
    ("401", Bad("a Connect that refuses", PLAN, "HTTP 401", "connect.password", file=put("connect.url", "http://127.0.0.1:PORT"))),
    ("500", Bad("a Connect in trouble", PLAN, "HTTP 500", file=put("connect.url", "http://127.0.0.1:PORT"))),
    ("html", Bad("a Connect that is a web page", PLAN, "does not answer in JSON", file=put("connect.url", "http://127.0.0.1:PORT"))),
    ("silent", Bad("a Connect that is silent", PLAN, "could not read connector", file=put("connect.url", "http://127.0.0.1:PORT"))),
    ("404", Bad("a Kafka that is away", PLAN, "could not list topics", "kafka.bootstrap_servers", file=put("connect.url", "http://127.0.0.1:PORT"))),
    ("nobody", Bad("a PostgreSQL that is away", f"{DRY} shop", "Connection refused", "is the database up")),
    ("nobody", Bad("a MySQL that is away", f"{DRY} store", "Can't connect", "is the database up")),
    ("close", Bad("a PostgreSQL that hangs up", f"{DRY} shop", "PostgreSQL at", "is the database up", file=put("sources.0.port", "PORT"))),
    ("close", Bad("a MySQL that hangs up", f"{DRY} store", "MySQL at", "is the database up", file=put("sources.1.port", "PORT"))),
    ("silent", Bad("a PostgreSQL that is silent", f"{DRY} shop", "timeout", "is the database up", file=put("sources.0.port", "PORT"))),
    ("silent", Bad("a MySQL that is silent", f"{DRY} store", "MySQL at", "is the database up", file=put("sources.1.port", "PORT"))),
    ("postgres", Bad("a PostgreSQL that refuses the password", f"{DRY} shop", "password authentication failed", "check user, password", file=put("sources.0.port", "PORT"))),
    ("mysql", Bad("a MySQL that refuses the password", f"{DRY} store", "Access denied", "check user, password", file=put("sources.1.port", "PORT"))),
    ("postgres", Bad("a service whose sources both refuse", "stream -c CONFIG --source shop", "password authentication failed", "check user, password", file=put("sources.0.port", "PORT"))),
    ("nobody", Bad("no jars for the service", "stream -c CONFIG", "no jars in", "cdc local fetch")),
    ("nobody", Bad("no jars for a load", "load -c CONFIG", "no jars in", "cdc local fetch")),
    ("nobody", Bad("no jars for a reset", "tables reset shop.a -c CONFIG", "no jars in", "cdc local fetch")),
    ("close", Bad("a port for health that is taken", "stream -c CONFIG", "the port is taken", "CDC_OPERATIONS__HTTP_PORT", file=put("operations.http_port", "PORT"))),
    ("nobody", Bad("an address for health that is another machine's", "stream -c CONFIG", "could not serve", "operations.http_", file=put("operations", {"http_host": "192.0.2.1", "http_port": 9108}))),
    ("nobody", Bad("checkpoints in a place that is a file", "stream -c CONFIG", "checkpoints cannot be written", "CDC_STREAM__CHECKPOINT", file=put("stream.checkpoint", "/dev/null/checkpoint"))),
    ("nobody", Bad("all of it away, for the doctor", "doctor -c CONFIG --source shop", "warehouse_unwritable.*kafka_away.*connect_away", r"connect.url right", file=catalog(type="hadoop", warehouse="/dev/null"))),
    ("nobody", Bad("sources away, for the status", "status -c CONFIG --source shop", "source_away", "is the database up", 2)),
]  # fmt: skip
"""Surroundings that are wrong: what answers at PORT, and what is run."""

REWIND, REPLAY, SHOW = (
    "rewind -c CONFIG --yes --table shop.a --to",
    "replay -c CONFIG --table shop.a --from",
    "checkpoint show -c CONFIG --table shop.a",
)
POINTS = [
    *(
        Bad(f"{what} for {command.split()[0]}", f"{command} {word}", says, hint)
        for command in (REWIND, REPLAY, SHOW)
        for what, word, says, hint in (
            ("a word for a time", "yesterday", "is no snapshot, tag or time", "tag:NAME"),
            ("a time that is none", "2026-13-45T00:00:00Z", "is no snapshot, tag or time", "such as 2026-"),
            ("a snapshot that is none", "99999999999999999999", "no snapshot", "cdc checkpoint list|earliest"),
            ("a tag that is none", "tag:none", "has no tag 'none'", "it has"),
            ("a time before everything", "2001-01-01T00:00:00Z", "as old as", "its history begins|earliest"),
        )
    ),
    Bad("a rewind to where it is", f"{REWIND} latest", "already", "nothing to rewind"),
    Bad("an offset without a number", f"{REPLAY} offset:0", "is no offset", "write offset:0=1200"),
    Bad("a partition that is no number", f"{REPLAY} offset:x=1", "is no offset", "write offset:0=1200"),
    Bad("an offset below nothing", f"{REPLAY} offset:0=-5", "is no offset", "write offset:0=1200"),
    Bad("a partition that the topic has not", f"{REPLAY} offset:5=1", "has no partition 5", "it has 0"),
    Bad("a range that ends before it begins", f"{REPLAY} offset:0=6 --to offset:0=1", "ends before it begins", "--from has to lie before"),
    Bad("a range beyond the table", f"{REPLAY} earliest --to offset:0=99", "itself is not that far", "leave --to out"),
    Bad("a new table that is the old one", f"{REPLAY} earliest --into shop.a", "a table of the service", "choose a name"),
    Bad("a new table without a namespace", f"{REPLAY} earliest --into copy", "expected namespace.table", "write namespace.table"),
    Bad("a new table among the service's", f"{REPLAY} earliest --into cdc.copy", "a table of the service", "choose a name"),
    Bad("a replay without jars", f"{REPLAY} earliest", "no jars in", "cdc local fetch"),
]  # fmt: skip
"""Points in the life of a table that has been streamed for a while."""
