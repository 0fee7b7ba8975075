"""The README's path to one's own database, typed as it stands there: only addresses and passwords are others."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pymysql
import pytest
from pymysql.constants import CLIENT

from cdc.local.stack import LocalStack
from tests.e2e import newcomer as tables
from tests.e2e.newcomer import Newcomer, reading_script, readme_commands
from tests.e2e.service import CATCH_UP_SECONDS, await_true

pytestmark = [pytest.mark.timeout(900), pytest.mark.campaign]
DATABASE = "newcomer"
ADDRESS = "db.example.com/shop"


@pytest.fixture
def local() -> Iterator[LocalStack]:
    """The stack that the newcomer starts; all of it goes with the test."""
    own = LocalStack(f"test-{os.getpid()}-new")
    yield own
    own.down(wipe=True)


def typed(local: LocalStack, port: int | None, scheme: str = "postgres") -> list[str]:
    """Return the README's commands with this stack and this database."""
    user = {"postgres": "postgres", "mysql": "root"}[scheme]
    others = {
        f"postgres://postgres@{ADDRESS}": f"{scheme}://{user}@127.0.0.1:{port}/{DATABASE}",
        "shop-setup.sql": f"{DATABASE}-setup.sql",
        "--local default": f"--local {local.name}",
        "local up": f"local up --name {local.name}",
    }
    commands = readme_commands()
    for old, new in others.items():
        assert any(old in command for command in commands), old
        commands = [command.replace(old, new) for command in commands]
    return commands


def test_the_readme_takes_fewer_than_ten_commands() -> None:
    commands = readme_commands()
    assert commands[0].startswith("make venv")
    assert len(commands) < 10


@pytest.mark.skipif(shutil.which("psql") is None, reason="the README's path needs psql, the client of PostgreSQL")
def test_own_postgresql(stack: LocalStack, local: LocalStack, tmp_path: Path) -> None:
    """P16."""
    at = stack.addresses()
    admin = at.environment()["CDC_POSTGRES_ADMIN_PASSWORD"]

    def run(statements: str, database: str) -> None:
        parameters = {"host": "127.0.0.1", "port": at.postgres_port, "user": "postgres", "password": admin}
        with closing(psycopg.connect(**parameters, dbname=database, autocommit=True)) as connection:
            connection.execute(statements.encode())

    run(f"CREATE DATABASE {DATABASE}", "postgres")
    run(tables.POSTGRES, DATABASE)
    person = Newcomer(tmp_path, {"PGPASSWORD": admin})
    try:
        _, up, init, psql, doctor, apply, stream, *looks = typed(local, at.postgres_port)
        person.type(up)
        said = person.type(init)
        print(said, (tmp_path / "cdc.yaml").read_text(), (tmp_path / f"{DATABASE}-setup.sql").read_text(), sep="\n")
        person.type("cdc config check")
        for command in (psql, doctor, apply):
            person.type(command)
        person.start(stream)
        found = person.await_rows()
        assert person.seconds() < tables.FIRST_ROWS_SECONDS
        assert {name.removeprefix("public.") for name in found} == (
            tables.POSTGRES_CAPTURED | {"logistics.stock", "logistics.orders"}
        )
        for name, why in tables.POSTGRES_UNFIT.items():
            assert any(why in line and name in line for line in said.splitlines()), said
        run(tables.POSTGRES_CHANGES, DATABASE)
        finish(person, looks)
        assert "5000 rows" in read(person, local, "pyiceberg")
    finally:
        person.stop()
        local.down()
        run(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'cdc_newcomer'",
            DATABASE,
        )
        run(f"DROP DATABASE {DATABASE} WITH (FORCE)", "postgres")
        run("DROP ROLE IF EXISTS cdc_newcomer", "postgres")


def test_own_mysql(mysql_stack: LocalStack, local: LocalStack, tmp_path: Path) -> None:
    at = mysql_stack.addresses()
    root = at.environment()["CDC_MYSQL_ROOT_PASSWORD"]

    def run(statements: str, database: str | None = DATABASE) -> None:
        flags = {"client_flag": CLIENT.MULTI_STATEMENTS, "autocommit": True}
        parameters = {"host": "127.0.0.1", "port": at.mysql_port, "user": "root", "password": root}
        connected = closing(pymysql.connect(**parameters, **flags, database=database))
        with connected as connection, connection.cursor() as cursor:
            cursor.execute(statements)
            while cursor.nextset():
                pass

    run(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4", None)
    run(tables.MYSQL)
    person = Newcomer(tmp_path, {"MYSQL_PWD": root})
    try:
        _, up, init, _, doctor, apply, stream, *looks = typed(local, at.mysql_port, "mysql")
        person.type(up)
        said = person.type(init)
        print(said, (tmp_path / "cdc.yaml").read_text(), (tmp_path / f"{DATABASE}-setup.sql").read_text(), sep="\n")
        lines = said.splitlines()
        setup = lines[lines.index("next:") + 1].strip().removesuffix(" --password")  # it is in MYSQL_PWD
        for command in (setup, doctor, apply):
            person.type(command)
        person.start(stream)
        found = person.await_rows()
        assert person.seconds() < tables.FIRST_ROWS_SECONDS
        assert {name.removeprefix(f"{DATABASE}.") for name in found} == tables.MYSQL_CAPTURED
        for name, why in tables.MYSQL_UNFIT.items():
            assert any(why in line and name in line for line in said.splitlines()), said
        run(tables.MYSQL_CHANGES)
        finish(person, looks)
        assert "5000 rows" in read(person, local, "pyiceberg")
        assert re.search(r"\|\s+r\|\s+5000\|", read(person, local, "Spark"))
    finally:
        person.stop()
        local.down()
        run(f"DROP DATABASE {DATABASE}", None)
        run("DROP USER IF EXISTS cdc_newcomer", None)


def finish(person: Newcomer, looks: list[str]) -> None:
    """Type what is left, and see the changes arrive: every column of every row."""
    *others, verify = looks
    for command in others:
        person.type(command)
    assert verify == "cdc verify"

    def caught_up() -> bool:
        return bool(json.loads(person.type("cdc verify --json || true"))["equal"])

    await_true(caught_up, CATCH_UP_SECONDS, "source and lake are equal")
    print(person.type(verify))
    print(f"equal {person.seconds():.1f} s after the first command")


def again(person: Newcomer, init: str, psql: str) -> None:
    """Look once more: nothing is overwritten unasked, what is set up already is left alone, refusals say why."""
    refused = person.type(f"PGPASSWORD=wrong {init} --force", code=1)
    assert "password authentication failed" in refused
    assert "Traceback" not in refused
    assert "--force overwrites" in person.type(init, code=1)
    person.type(f"{init} --force")
    person.type(psql)
    statements = (person.folder / f"{DATABASE}-setup.sql").read_text()
    assert not re.findall("^(CREATE|ALTER TABLE|ALTER PUBLICATION) .*", statements, re.MULTILINE)
    person.type("cdc doctor")


def read(person: Newcomer, local: LocalStack, engine: str) -> str:
    """Run what docs/reading.md shows for an engine, with the variables of the stack."""
    script = person.folder / f"reads_with_{engine}.py"
    script.write_text(reading_script(engine), encoding="utf-8")
    said = person.type(f'eval "$(cdc local env --name {local.name})" && python {script}')
    print(said)
    return said
