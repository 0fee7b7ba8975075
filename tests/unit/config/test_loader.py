"""The loader: overrides, secrets, selection of sources, and errors that name path, cause and what would be right."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from cdc.config.loader import load_config
from cdc.core.errors import ConfigError

EXAMPLES = Path(__file__).parents[3] / "config"
Written = Callable[[str], Path]

MINIMAL = """
kafka: {bootstrap_servers: "kafka:9092"}
registry: {url: "http://registry:8081"}
connect: {url: "http://connect:8083"}
catalog: {type: rest, uri: "http://catalog:8181", warehouse: lake}
sources:
- name: shop
  type: postgres
  host: postgres
  database: shop
  password: "${env:SHOP_PASSWORD}"
  tables:
  - {source: public.customers, key: [id]}
- name: store
  type: mysql
  host: mysql
  database: store
  server_id: 1
  password: "${env:STORE_PASSWORD}"
  tables:
  - {source: store.orders, key: [id]}
"""

SECRETS = {"SHOP_PASSWORD": "hunter-2", "STORE_PASSWORD": "hunter-3"}


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "cdc.yaml"
        path.write_text(text)
        return path

    return write


def problems(path: Path, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, SECRETS if environ is None else environ)
    assert caught.value.hint
    return str(caught.value)


def test_the_first_rows_come_from_where_the_table_says_or_else_its_source(written: Written) -> None:
    text = MINIMAL.replace("key: [id]}", "key: [id], snapshot: connector}", 1)
    shop, store = load_config(written(text), SECRETS).sources
    assert [source.snapshot_of(source.tables[0]) for source in (shop, store)] == ["connector", "load"]


def test_oracle_is_not_loaded(written: Written) -> None:
    text = MINIMAL.replace("type: mysql", "type: oracle").replace("  server_id: 1\n", "")
    (_, store) = load_config(written(text), SECRETS).sources
    assert store.snapshot_of(store.tables[0]) == "connector"
    for wrong in (
        text.replace("type: oracle", "type: oracle\n  snapshot: load"),
        text.replace("store.orders, ", "store.orders, snapshot: load, "),
    ):
        assert "snapshot load is not implemented for Oracle" in problems(written(wrong))


@pytest.mark.parametrize(
    ("size", "expected"), [("1k", 1024), ("64M", 64 << 20), ("2g", 2 << 30), (2048, 2048), ('"2048"', 2048)]
)
def test_sizes_have_units(written: Written, size: object, expected: int) -> None:
    config = load_config(written(MINIMAL + f"load: {{range_bytes: {size}, statement_timeout: 5m}}\n"), SECRETS)
    assert config.load.range_bytes == expected
    assert config.load.statement_timeout == timedelta(minutes=5)


@pytest.mark.parametrize("size", ["12x", "1.5g", "true", "10"])
def test_a_wrong_size_is_named(written: Written, size: str) -> None:
    assert "load.range_bytes" in problems(written(MINIMAL + f"load: {{range_bytes: {size}}}\n"))


@pytest.mark.parametrize("name", ["local", "minimal", "production"])
def test_the_examples_load(name: str) -> None:
    config = load_config(EXAMPLES / f"{name}.yaml", {}, secrets=False)
    assert config.sources


def test_the_local_example_needs_only_the_secrets_of_the_selected_source() -> None:
    secrets = {"CDC_CATALOG_PASSWORD": "a", "CDC_POSTGRES_PASSWORD": "b"}
    config = load_config(EXAMPLES / "local.yaml", secrets, only=["shop"])
    assert [source.name for source in config.sources] == ["shop"]
    assert "CDC_MYSQL_PASSWORD is not set" in problems(EXAMPLES / "local.yaml", secrets)


def test_secrets_come_from_the_environment_and_from_files(written: Written, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from a file\n")
    path = written(MINIMAL.replace("${env:STORE_PASSWORD}", f"${{file:{tmp_path}/password}}"))
    shop, store = load_config(path, SECRETS).sources
    assert shop.password.reveal() == "hunter-2"
    assert store.password.reveal() == "from a file"


def test_a_loaded_configuration_never_shows_a_secret(written: Written) -> None:
    config = load_config(written(MINIMAL), SECRETS)
    assert "hunter" not in repr(config) + str(config) + config.model_dump_json()
    assert json.loads(config.model_dump_json())["sources"][0]["password"] == "${env:SHOP_PASSWORD}"


def test_missing_secrets_name_path_and_reference(written: Written) -> None:
    text = problems(written(MINIMAL.replace("env:STORE_PASSWORD", "file:/nowhere/password")), {})
    assert "sources[0].password: environment variable SHOP_PASSWORD is not set" in text
    assert "sources[1].password: file '/nowhere/password' does not exist" in text


def test_a_secret_in_the_file_is_refused_and_not_repeated(written: Written) -> None:
    text = problems(written(MINIMAL.replace("${env:SHOP_PASSWORD}", "hunter-2")))
    assert "sources[0].password: must be a reference: ${env:NAME} or ${file:/run/secrets/name}" in text
    assert "hunter" not in text


def test_a_secret_under_a_misspelt_field_is_not_repeated(written: Written) -> None:
    text = problems(written(MINIMAL.replace("  password: ", "  pasword: ").replace("${env:SHOP_PASSWORD}", "hunter-2")))
    assert 'sources[0].pasword: unknown field; did you mean "password"?' in text
    assert "sources[0].password: is missing; Password of the role, by reference" in text
    assert "hunter" not in text


def test_variables_override_fields_by_name_index_and_case(written: Written) -> None:
    environ = {
        "CDC_KAFKA__BOOTSTRAP_SERVERS": "other:1",
        "CDC_SOURCES__shop__PORT": "6000",
        "cdc_sources__1__host": "elsewhere",
        "CDC_STREAM__TRIGGER": "250ms",
        "CDC_METADATA_NAMESPACE": "meta",
        "CDC_SOURCES__SHOP__TABLES__0__KEY": "[id, line]",
        "CDC_SPARK__PROPERTIES__spark.sql.caseSensitive": "true",
        "CDC_POSTGRES_PASSWORD": "not an override",
    }
    config = load_config(written(MINIMAL), SECRETS | environ)
    shop, store = config.sources
    assert (config.kafka.bootstrap_servers, shop.port, store.host) == ("other:1", 6000, "elsewhere")
    assert (config.stream.trigger, config.metadata_namespace) == (timedelta(milliseconds=250), "meta")
    assert shop.tables[0].key == ("id", "line")
    assert config.spark.properties == {"spark.sql.caseSensitive": "true"}


def test_overrides_reach_a_section_that_the_file_leaves_out(written: Written) -> None:
    config = load_config(written(MINIMAL), SECRETS | {"CDC_OPERATIONS__HTTP_PORT": "0"})
    assert config.operations.http_port == 0


def test_overrides_that_fit_nowhere_are_errors_with_the_nearest_name(written: Written) -> None:
    text = problems(
        written(MINIMAL), SECRETS | {"CDC_KAFAK__X": "1", "CDC_SOURCES__shpo__PORT": "1", "CDC_KAFKA__URL__A": "b"}
    )
    assert 'CDC_KAFAK__X: no such section; did you mean "kafka"?' in text
    assert "CDC_SOURCES__shpo__PORT: nothing is named 'shpo'; did you mean \"shop\"?" in text


def test_an_override_inside_a_plain_value_is_an_error(written: Written) -> None:
    text = problems(written(MINIMAL), SECRETS | {"CDC_KAFKA__BOOTSTRAP_SERVERS__A": "b"})
    assert "bootstrap_servers is a plain value and has no fields" in text


def test_every_problem_is_listed_with_its_path_and_value(written: Written) -> None:
    text = problems(
        written(
            MINIMAL.replace("kafka:9092", 'kafka:9092", partitions: many, partitons: "1')
            .replace("key: [id]}\n- name", "key: []}\n- name")
            .replace("server_id: 1", "server_id: 0")
        )
    )
    assert "has 4 problems" in text
    assert "kafka.partitions: must be a whole number (got 'many')" in text
    assert 'kafka.partitons: unknown field; did you mean "partitions"?' in text
    assert "sources[0].tables[0].key: must not be empty" in text
    assert "sources[1].server_id: must be greater than or equal to 1 (got 0)" in text


def test_a_missing_or_unknown_kind_of_source_names_the_kinds(written: Written) -> None:
    text = problems(written(MINIMAL.replace("  type: postgres\n", "").replace("type: mysql", "type: mysq")))
    assert "sources[0]: type is missing; it must be one of 'postgres', 'mysql', 'oracle'" in text
    assert "sources[1]: type must be one of 'postgres', 'mysql', 'oracle'" in text


def test_a_list_is_not_called_empty_when_its_items_are_wrong(written: Written) -> None:
    text = problems(written(MINIMAL.replace("source: public.customers", "source: customers")))
    assert "sources[0].tables[0].source: expected namespace.table" in text
    assert "not be empty" not in text


def test_a_file_that_is_not_there_or_not_yaml(written: Written, tmp_path: Path) -> None:
    assert "does not exist" in problems(tmp_path / "none.yaml")
    assert "is not YAML: line 2, column 6" in problems(written("kafka:\n  a: @\n"))
    assert "line 2, column 1: key 'kafka' is given twice" in problems(written("kafka: {}\nkafka: {}\n"))
    assert "is not a mapping" in problems(written("- a\n"))
    assert "is empty" in problems(written(""))


def test_selecting_a_source_that_is_not_there_names_the_nearest(written: Written) -> None:
    with pytest.raises(ConfigError, match='has no source "shp"') as caught:
        load_config(written(MINIMAL), SECRETS, only=["shp"])
    assert "shop" in caught.value.hint


def test_settings_of_other_systems_may_be_numbers_and_booleans(written: Written) -> None:
    config = load_config(written(MINIMAL + "spark: {properties: {a: 1, b: true, c: x}}\n"), SECRETS)
    assert config.spark.properties == {"a": "1", "b": "true", "c": "x"}


TWO_SCHEMAS = MINIMAL.replace(
    "  - {source: public.customers, key: [id]}",
    "  - {source: public.customer, key: [id]}\n  - {source: sales.customer, key: [id]}",
)


def targets(path: Path) -> list[str]:
    return [str(source.target_of(table)) for source in load_config(path, SECRETS).sources for table in source.tables]


def test_tables_of_equal_names_in_two_schemas_collided(written: Written) -> None:
    """The ordinary schema is left out, public or MySQL's own database; others are part of the name."""
    assert targets(written(TWO_SCHEMAS)) == ["shop.customer", "shop.sales_customer", "store.orders"]
    other_database = MINIMAL.replace("store.orders", "archive.orders")
    assert targets(written(other_database))[1] == "store.archive_orders"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("lake.{schema}_{table}", ["lake.public_customer", "lake.sales_customer"]),
        ("{schema}.{table}", ["public.customer", "sales.customer"]),
        ("raw_{source}.{table}_in_{schema}", ["raw_shop.customer_in_public", "raw_shop.customer_in_sales"]),
    ],
)
def test_targets_are_named_by_a_template(written: Written, template: str, expected: list[str]) -> None:
    text = TWO_SCHEMAS.replace("  database: shop\n", f"  database: shop\n  targets: '{template}'\n")
    assert targets(written(text))[:2] == expected


@pytest.mark.parametrize(
    ("template", "what"),
    [
        ("lake.{schema}", "must have {table} in it"),
        ("{table}", "must be namespace.table"),
        ("lake.{database}_{table}", "there is no {database}; known are {source}, {schema}, {table}"),
        ("Lake.{table}", "must be namespace.table"),
    ],
)
def test_a_template_that_names_no_target_is_refused(written: Written, template: str, what: str) -> None:
    text = problems(written(TWO_SCHEMAS.replace("  database: shop\n", f"  database: shop\n  targets: '{template}'\n")))
    assert f"sources[0].targets: {what}" in text


def test_a_collision_of_targets_names_both_tables_and_what_to_do(written: Written) -> None:
    text = problems(written(TWO_SCHEMAS.replace("sales.customer,", "sales.customer, target: shop.customer,")))
    assert "tables public.customer and sales.customer would both be written to shop.customer" in text
    assert "give one of them another `target`" in text
    text = problems(written(MINIMAL.replace("store.orders,", "store.orders, target: shop.customers,")))
    assert "tables public.customers of shop and store.orders of store would both be written to shop.customers" in text


def test_a_table_that_is_listed_twice_and_topics_that_are_alike_are_named(written: Written) -> None:
    """P66."""
    twice = TWO_SCHEMAS.replace("sales.customer,", "public.customer, target: a.b,")
    assert "table public.customer is listed twice" in problems(written(twice))
    alike = TWO_SCHEMAS.replace("sales.customer,", "'public.\"customer\"', target: a.b,")
    assert "table public.customer is listed twice" in problems(written(alike))
    topics = TWO_SCHEMAS.replace("public.customer,", "'public.\"a b\"',").replace(
        "sales.customer,", "'public.\"a/b\"', target: a.b,"
    )
    assert "tables public.\"a b\" and public.a/b have the same topic 'shop.public.a_b'" in problems(written(topics))


def test_text_is_refused_where_there_are_no_arrays(written: Written) -> None:
    named = "store.orders, text: [m]"
    assert "`text` of store.orders names 'm': only PostgreSQL has arrays" in problems(
        written(MINIMAL.replace("store.orders", named))
    )


def test_a_mysql_source_needs_no_database_of_its_own(written: Written) -> None:
    path = written(MINIMAL.replace("  database: store\n", ""))
    assert targets(path)[1] == "store.store_orders"


def test_a_table_of_another_database_is_another_source(written: Written) -> None:
    text = problems(written(MINIMAL.replace("public.customers", "other.public.customers")))
    assert "expected namespace.table; another database is another source" in text


def test_a_key_may_be_left_to_the_source_but_not_be_empty(written: Written) -> None:
    path = written(MINIMAL.replace("public.customers, key: [id]", "public.customers"))
    assert load_config(path, SECRETS).sources[0].tables[0].key == ()
    assert "key: must not be empty" in problems(written(MINIMAL.replace("key: [id]", "key: []", 1)))


def test_patterns_need_no_network(written: Written) -> None:
    text = MINIMAL.replace("public.customers, key: [id]", "'public.*', exclude: ['public.tmp_*']")
    (pattern,) = load_config(written(text), SECRETS).sources[0].tables
    assert pattern.pattern
    assert [str(name) for name in pattern.exclude] == ["public.tmp_*"]


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("'public.*', target: a.b", "pattern public.* has a target"),
        ("'public.*', snapshot: connector", "pattern public.* needs `snapshot: load`"),
        ("public.customers, exclude: [public.a]", "public.customers is no pattern"),
        ("'public.*', text: [m]", "pattern public.* has `text`"),
    ],
)
def test_what_a_pattern_cannot_have_is_refused(written: Written, entry: str, what: str) -> None:
    assert what in problems(written(MINIMAL.replace("public.customers, key: [id]", entry)))


@pytest.mark.parametrize(
    ("stream", "folder"),
    [
        ("{}", "/var/lib/cdc/index"),
        ("{checkpoint: /data/cdc/checkpoint}", "/data/cdc/index"),
        ("{checkpoint: 's3a://lake/checkpoints'}", "/var/lib/cdc/index"),
        ("{checkpoint: /data/cdc/checkpoint, index: /fast/keys}", "/fast/keys"),
        ("{index: ''}", None),
    ],
)
def test_key_indexes_are_beside_the_checkpoint_unless_somewhere_is_named(
    written: Written, stream: str, folder: str | None
) -> None:
    config = load_config(written(f"stream: {stream}{MINIMAL}"), SECRETS)
    assert config.stream.index_folder == (Path(folder) if folder else None)
