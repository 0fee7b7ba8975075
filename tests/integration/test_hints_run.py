"""Statements that hints show are run as they stand, and mend what they are shown for: on a real PostgreSQL."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from cdc.bootstrap.databases import source_database
from cdc.config.models import Config
from cdc.core.preflight import Finding
from cdc.local.stack import LocalStack
from cdc.pipeline.preflight import check_source

pytestmark = pytest.mark.timeout(600)
SCHEMA = "Hints of ours"
TABLES = {"Odd. Table": ["Id"], "unlogged": ["id"], "by code": ["code"], "secret": ["id"]}
OWNER = re.compile(r"^(?:as (?:its|the tables'|the table's) owner: )?((?:CREATE|ALTER|GRANT) .*)$")


@contextmanager
def owner(stack: LocalStack) -> Iterator[psycopg.Connection[Any]]:
    at = stack.addresses()
    password = at.environment()["CDC_POSTGRES_OWNER_PASSWORD"]
    with psycopg.connect(
        host=at.postgres_host,
        port=at.postgres_port,
        dbname="shop",
        user="shop_owner",
        password=password,
        autocommit=True,
    ) as connection:
        yield connection


@pytest.fixture
def unfit(stack: LocalStack) -> Iterator[Config]:
    """A source of which each table is unfit in its own way, and whose publication is not there."""
    with owner(stack) as connection:
        connection.execute(f'CREATE SCHEMA "{SCHEMA}"')
        connection.execute(f'CREATE TABLE "{SCHEMA}"."Odd. Table" ("Id" int PRIMARY KEY)')
        connection.execute(f'CREATE UNLOGGED TABLE "{SCHEMA}".unlogged (id int PRIMARY KEY)')
        connection.execute(f'CREATE TABLE "{SCHEMA}"."by code" (id int PRIMARY KEY, code int NOT NULL UNIQUE)')
        connection.execute(f'CREATE TABLE "{SCHEMA}".secret (id int PRIMARY KEY)')
        connection.execute(f'GRANT USAGE ON SCHEMA "{SCHEMA}" TO cdc')
        connection.execute(f'GRANT SELECT ON "{SCHEMA}"."Odd. Table", "{SCHEMA}".unlogged, "{SCHEMA}"."by code" TO cdc')
        connection.execute(f'REVOKE ALL ON "{SCHEMA}".secret FROM cdc')
        yield source_of(stack)
        connection.execute("DROP PUBLICATION IF EXISTS cdc_hints")
        connection.execute(f'DROP SCHEMA "{SCHEMA}" CASCADE')


def source_of(stack: LocalStack) -> Config:
    at = stack.addresses()
    secrets = at.environment()
    source = {
        "name": "hints",
        "type": "postgres",
        "host": at.postgres_host,
        "port": at.postgres_port,
        "database": "shop",
        "password": "${env:CDC_POSTGRES_PASSWORD}",
        "sslmode": "disable",
        "tables": [{"source": f'"{SCHEMA}"."{name}"', "key": key} for name, key in TABLES.items()],
    }
    data = {
        "kafka": {"bootstrap_servers": at.kafka},
        "registry": {"url": at.registry},
        "connect": {"url": at.connect},
        "catalog": {"type": "hadoop", "warehouse": str(at.warehouse)},
        "sources": [source],
    }
    return Config.model_validate(data, context={"resolve": lambda _kind, name: secrets[name]})


def fatal(config: Config) -> list[Finding]:
    (source,) = config.sources
    return [one for one in check_source(source, source_database(source)) if one.fatal]


def test_statements_in_hints_mend_what_they_are_shown_for(stack: LocalStack, unfit: Config) -> None:
    mended: list[str] = []
    with owner(stack) as connection:
        for _ in range(20):
            found = fatal(unfit)
            if not found:
                break
            finding = min(found, key=lambda one: "publi" in one.name)  # unlogged tables cannot be published
            statements = OWNER.match(finding.hint)
            assert statements, finding
            connection.execute(statements[1])  # as it stands
            after = [(one.name, one.table) for one in fatal(unfit)]
            assert (finding.name, finding.table) not in after, finding.hint
            mended.append(finding.name)
            if finding.name == "publication":
                connection.execute(f'ALTER PUBLICATION cdc_hints DROP TABLE "{SCHEMA}"."Odd. Table"')
                connection.execute(f'ALTER PUBLICATION cdc_hints DROP TABLE "{SCHEMA}"."by code"')
                connection.execute(f'ALTER PUBLICATION cdc_hints ADD TABLE "{SCHEMA}"."by code" WHERE (id > 0)')
                connection.execute("ALTER PUBLICATION cdc_hints SET (publish = 'insert')")
    assert fatal(unfit) == []
    assert set(mended) >= {
        "publication",
        "publication_options",
        "not_published",
        "row_filter",
        "table_missing",
        "unlogged",
        "key_not_in_identity",
    }
