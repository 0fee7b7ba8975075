"""Rendering connectors: safe settings, escaped names, secrets by reference."""

import re

import pytest

from cdc.connect.overrides import REFUSALS
from cdc.connect.render import AVRO_CONVERTER, pattern, render
from cdc.connect.templates import FOLDER, filled
from cdc.core.errors import ConfigError
from tests.fakes.configuration import CANARY, MYSQL, ORACLE, POSTGRES, configuration


def rendered(source, **sections):
    config = configuration(source, **sections)
    return render(config.sources[0], config)


def _mixed(source):
    """Return a source of two tables, the first loaded and the second read by the connector."""
    namespace = source["tables"][0]["source"].partition(".")[0]
    later = source["tables"][1:] or [{"source": f"{namespace}.orders", "key": ["id"], "target": "store.o"}]
    return source | {"tables": [source["tables"][0], later[0] | {"snapshot": "connector"}]}


def test_postgres_settings_that_belong_to_the_source():
    """P72, P78."""
    settings = rendered(POSTGRES)
    assert {
        key: settings[key] for key in settings if key.startswith(("database.", "slot.", "publication.", "t", "m"))
    } == {
        "database.hostname": "db",
        "database.port": "5432",
        "database.dbname": "shop",
        "database.user": "cdc",
        "database.password": "${env:CDC_POSTGRES_PASSWORD}",
        "database.sslmode": "verify-full",
        "database.tcpKeepAlive": "true",
        "slot.name": "cdc_shop",
        "slot.drop.on.stop": "false",
        "publication.name": "cdc_shop",
        "publication.autocreate.mode": "disabled",
        "topic.prefix": "shop",
        "tasks.max": "1",
        "table.include.list": r"public\.customers,public\.Order\.\x{20}Items",
        "message.key.columns": r"public\.customers:id;public\.Order\.\x{20}Items:Order\x{20}No,line",
        "message.prefix.exclude.list": "cdc_heartbeat",
        "tombstones.on.delete": "true",
        "time.precision.mode": "microseconds",
        "topic.creation.default.partitions": "1",
        "topic.creation.default.replication.factor": "1",
        "topic.creation.default.cleanup.policy": "delete",
        "topic.creation.default.retention.ms": "604800000",
        "transaction.boundary": "poll",
        "max.batch.size": "8192",
        "max.queue.size": "32768",
        "max.queue.size.in.bytes": "134217728",
    }


def test_arrays_that_are_text_stand_in_the_settings_of_the_converter():
    tables = [POSTGRES["tables"][0] | {"text": ["m", "a, b"]}, POSTGRES["tables"][1]]
    settings = rendered(POSTGRES | {"tables": tables})
    assert settings["values.text"] == r"public\.customers\.m,public\.customers\.a\x{2c}\x{20}b"
    assert rendered(POSTGRES)["values.text"] == ""
    assert "values.text" not in rendered(MYSQL)


def test_mysql_keeps_its_history_for_ever_and_all_of_it():
    """M14, M15, M16, M26."""
    settings = rendered(MYSQL)
    history = {k.removeprefix("schema.history.internal."): v for k, v in settings.items() if "history" in k}
    assert history == {
        "store.only.captured.tables.ddl": "false",
        "skip.unparseable.ddl": "true",
        "kafka.topic": "store.schema-history",
        "kafka.bootstrap.servers": "kafka:9092",
    }
    assert settings["database.password"] == "${dir:/run/secrets:mysql}"
    assert settings["database.include.list"] == r"my\x{2d}shop"
    assert settings["bigint.unsigned.handling.mode"] == "precise"
    assert settings["enable.time.adjuster"] == "false"


def test_a_table_of_a_second_mysql_database_was_never_captured():
    """T5."""
    several = [{"source": f"{name}.customers", "key": ["id"]} for name in ("my-shop", "archive")]
    settings = rendered(MYSQL | {"tables": [*several, {"source": "archive.orders", "key": ["id"]}]})
    assert settings["database.include.list"] == r"my\x{2d}shop,archive"
    assert settings["table.include.list"] == r"my\x{2d}shop\.customers,archive\.customers,archive\.orders"
    without = rendered({key: value for key, value in MYSQL.items() if key != "database"})
    assert without["database.include.list"] == r"my\x{2d}shop"


def test_mysql_asks_for_the_servers_key_only_without_tls():
    assert "driver.allowPublicKeyRetrieval" not in rendered(MYSQL)
    assert rendered(MYSQL | {"ssl_mode": "disabled"})["driver.allowPublicKeyRetrieval"] == "true"


def test_oracle_abandons_no_transaction():
    """O10, O13, O35: nor is an old row read by a new definition, nor another database of the container."""
    settings = rendered(ORACLE)
    assert settings["log.mining.transaction.retention.ms"] == "0"
    assert settings["log.mining.buffer.transaction.events.threshold"] == "0"
    assert settings["log.mining.strategy"] == "hybrid"
    assert settings["database.pdb.name"] == "ORCLPDB1"
    assert "database.pdb.name" not in rendered({k: v for k, v in ORACLE.items() if k != "pdb"})


def test_oracle_is_read_by_logminer_and_its_values_are_exact():
    """O6, O17, O19, O21: text for what has more digits than microseconds, and for months and years."""
    settings = rendered(ORACLE)
    assert settings["database.connection.adapter"] == "logminer"
    assert settings["time.precision.mode"] == "isostring"
    assert settings["interval.handling.mode"] == "string"
    with pytest.raises(ConfigError, match=r"adapter=xstream is refused: the order of Oracle's changes"):
        rendered(ORACLE | {"connector": {"database.connection.adapter": "xstream"}})


def test_oracles_statements_come_with_the_transform_that_reads_and_drops_them():
    """O14; Debezium refuses them beside large objects, and so nothing is left of them there."""
    settings = rendered(ORACLE)
    assert settings["log.mining.include.redo.sql"] == "true"
    assert settings["transforms"] == "logged"
    assert settings["transforms.logged.placeholder"] == settings["unavailable.value.placeholder"]
    large = rendered(ORACLE | {"connector": {"lob.enabled": "true", "log.mining.strategy": "redo_log_catalog"}})
    assert not [key for key in large if "transforms" in key or "redo.sql" in key]


@pytest.mark.parametrize("setting", ["log.mining.include.redo.sql", "transforms", "transforms.logged.placeholder"])
def test_the_transform_of_oracle_stays(setting):
    with pytest.raises(ConfigError, match="is refused"):
        rendered(ORACLE | {"connector": {setting: "false"}})


@pytest.mark.parametrize("source", [POSTGRES, MYSQL, ORACLE], ids=lambda s: s["type"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("skipped.operations", "none"),  # P14
        ("event.processing.failure.handling.mode", "fail"),  # P36
        ("event.converting.failure.handling.mode", "fail"),
        ("errors.tolerance", "none"),  # K11
        ("provide.transaction.metadata", "false"),  # P28
        ("heartbeat.interval.ms", "2000"),  # P21
        ("producer.override.acks", "all"),  # K7
        ("exactly.once.support", "required"),  # K9
        ("decimal.handling.mode", "string"),  # P44, O18
    ],
)
def test_every_engine_has_the_safe_settings(source, key, value):
    """P14, P36, K11, P28, P21, K7, K9, P44, O18, O33."""
    assert rendered(source)[key] == value


@pytest.mark.parametrize(
    ("source", "mode", "listed"),
    [
        (POSTGRES, "no_data", None),
        (MYSQL, "no_data", None),
        (ORACLE, "initial", None),
        (POSTGRES | {"snapshot": "connector"}, "initial", None),
        (_mixed(POSTGRES), "initial", r"public\.Order\.\x{20}Items"),
        (_mixed(MYSQL), "initial", r"my\x{2d}shop\.orders"),
    ],
)
def test_the_connector_reads_the_first_rows_of_its_tables_alone(source, mode, listed):
    """M6: and never again, however the log was lost."""
    settings = rendered(source)
    assert settings["snapshot.mode"] == mode
    assert settings.get("snapshot.include.collection.list") == listed


def test_only_recovery_is_a_mode_of_the_operators_own():
    assert rendered(MYSQL | {"connector": {"snapshot.mode": "recovery"}})["snapshot.mode"] == "recovery"


def test_postgres_notices_a_slot_that_was_made_anew():
    """P19, P20, P37, P50."""
    settings = rendered(POSTGRES)
    assert settings["offset.mismatch.strategy"] == "trust_offset"
    assert settings["include.unknown.datatypes"] == "true"
    assert settings["interval.handling.mode"] == "string"


def test_the_format_chooses_the_converters():
    avro = rendered(POSTGRES)
    assert avro["value.converter"] == AVRO_CONVERTER
    for part in ("key", "value"):
        assert avro[f"{part}.converter.schema.registry.url"] == "http://registry/apis/ccompat/v7"
    assert not [key for key in avro if "username" in key or "password" in key.removeprefix("database.password")]
    plain = rendered(POSTGRES | {"format": "json"})
    assert plain["value.converter.schemas.enable"] == "false"
    assert plain["value.converter.decimal.format"] == "NUMERIC"
    assert rendered(POSTGRES | {"format": "json_schema"})["value.converter.schemas.enable"] == "true"


@pytest.mark.parametrize(
    ("address", "rendered_address"),
    [
        ("http://inside:8081/apis/ccompat/v7", "http://inside:8081/apis/ccompat/v7"),
        ("http://inside:8081", "http://inside:8081"),
        ("http://inside:8081/apis/registry/v2", "http://inside:8081/apis/ccompat/v7"),  # of the converter before
        ("http://inside:8081/apis/registry/v2/", "http://inside:8081/apis/ccompat/v7"),
    ],
)
def test_the_worker_may_reach_the_registry_by_another_address(address, rendered_address):
    settings = rendered(POSTGRES, registry={"url": "http://outside:8081", "converter_url": address})
    for part in ("key", "value"):
        assert settings[f"{part}.converter.schema.registry.url"] == rendered_address


@pytest.mark.parametrize("source", [POSTGRES, MYSQL, ORACLE], ids=lambda s: s["type"])
def test_no_secret_is_rendered(source):
    """Security checklist 1: the canary is in the configuration and nowhere in the connector."""
    kafka = {
        "bootstrap_servers": "k:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "username": "cdc",
        "password": "${env:CDC_KAFKA_PASSWORD}",
        "ca_file": "/etc/ca.pem",
    }
    registry = {"url": "http://registry", "username": "cdc", "password": "${file:/run/secrets/registry}"}
    settings = rendered(source, kafka=kafka, registry=registry)
    assert CANARY not in str(settings)
    assert settings["key.converter.schema.registry.username"] == "cdc"
    assert settings["value.converter.schema.registry.password"] == "${dir:/run/secrets:registry}"
    assert not [value for value in settings.values() if re.search(r"\$\{[a-z_]+\}", value)]


def test_the_history_client_is_secured_like_the_rest():
    kafka = {"bootstrap_servers": "k:9092", "security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "u"}
    settings = rendered(MYSQL, kafka=kafka | {"password": "${env:CDC_KAFKA_PASSWORD}"})
    jaas = settings["schema.history.internal.consumer.sasl.jaas.config"]
    assert jaas.endswith('PlainLoginModule required username="u" password="${env:CDC_KAFKA_PASSWORD}";')
    assert settings["schema.history.internal.producer.security.protocol"] == "SASL_SSL"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("slot.drop.on.stop", "true"),
        ("errors.tolerance", "all"),
        ("event.processing.failure.handling.mode", "warn"),
        ("event.converting.failure.handling.mode", "skip"),
        ("skipped.operations", "t"),
        ("snapshot.mode", "when_needed"),
        ("snapshot.mode", "never"),
        ("snapshot.mode", "no_data"),
        ("snapshot.mode", "always"),
        ("snapshot.include.collection.list", "x"),
        ("offset.mismatch.strategy", "no_validation"),
        ("include.unknown.datatypes", "false"),
        ("value.converter.replace.null.with.default", "true"),
        ("value.converter.schema.registry.url", "http://another"),
        ("value.converter.max.message.bytes", "1"),
        ("key.converter.apicurio.registry.use-id", "globalId"),
        ("transforms", "unwrap"),
        ("transforms.unwrap.type", "io.debezium.transforms.ExtractNewRecordState"),
        ("transforms.r.type", "io.debezium.connector.mysql.transforms.ReadToInsertEvent"),
        ("predicates.p.type", "X"),
        ("decimal.handling.mode", "double"),
        ("bigint.unsigned.handling.mode", "long"),
        ("enable.time.adjuster", "true"),
        ("schema.history.internal.store.only.captured.tables.ddl", "true"),
        ("log.mining.transaction.retention.ms", "1000"),
        ("log.mining.strategy", "online_catalog"),
        ("heartbeat.interval.ms", "0"),
        ("producer.override.acks", "1"),
        ("producer.override.partitioner.class", "X"),
        ("tasks.max", "2"),
        ("publication.autocreate.mode", "all_tables"),
        ("database.hostname", "elsewhere"),
        ("message.key.columns", "x:y"),
    ],
)
def test_unsafe_overrides_are_refused_with_the_reason(key, value):
    """P20, P36, P73, M6, M16, M26, O10, O13, K5, K7, K11, K25, X1 and their kin."""
    with pytest.raises(ConfigError, match=re.escape(f"{key}={value} is refused: ")) as caught:
        rendered(POSTGRES | {"connector": {key: value}})
    assert key in caught.value.hint


def test_a_secret_in_plain_text_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match="holds a secret in plain text") as caught:
        rendered(POSTGRES | {"connector": {"database.sslpassword": "hunter2"}})
    assert "hunter2" not in str(caught.value) + caught.value.hint
    assert rendered(POSTGRES | {"connector": {"database.sslpassword": "${env:CDC_X}"}})["database.sslpassword"]


def test_harmless_overrides_win():
    assert rendered(POSTGRES | {"connector": {"poll.interval.ms": "10"}})["poll.interval.ms"] == "10"


def test_the_templates_pass_their_own_rules():
    """No template sets what a user would be refused."""
    derived = "it is derived from the rest of the configuration"
    for source in (POSTGRES, MYSQL, ORACLE):
        settings = rendered(source)
        refused = {key for key, r in REFUSALS.items() if key in settings and not r.allowed(settings[key])}
        assert {key for key in refused if REFUSALS[key].reason != derived} <= {"header.converter", "snapshot.mode"}


@pytest.mark.parametrize("name", ["a.b", "a,b", "a:b", "a;b", "a b", "ä", "💧", "a(b", r"a\b", "a|b", "$", "a-b"])
def test_patterns_fit_the_name_and_are_cut_by_no_list(name):
    """P65."""
    text = pattern(name)
    python = re.sub(r"\\x\{([0-9a-f]+)\}", lambda m: re.escape(chr(int(m[1], 16))), text)
    assert re.fullmatch(python, name)
    assert not re.search(r"[,:; ]", text)


def test_every_setting_that_differs_is_explained():
    """A comment stands somewhere above or beside every block of settings."""
    for path in FOLDER.glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("# "), path


def test_a_broken_template_is_named(tmp_path):
    (tmp_path / "x.yaml").write_text("a: ${nobody}")
    with pytest.raises(ConfigError, match="unknown placeholder 'nobody'"):
        filled("x", {}, tmp_path)
    (tmp_path / "y.yaml").write_text("a: 1")
    with pytest.raises(ConfigError, match="quote numbers"):
        filled("y", {}, tmp_path)
