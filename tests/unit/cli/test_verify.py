"""`cdc verify` as a person or a script uses it, up to where Spark starts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, TimeType
from typer.testing import CliRunner

from cdc.cli import verify
from cdc.cli.proof_text import lines, proof_json
from cdc.core.errors import CdcError, ConfigError, PreflightError, TerminalError
from cdc.core.fingerprint import joined
from cdc.core.proof import Difference, Kind, TableProof
from tests.fakes.configuration import configuration
from tests.sql_catalog import sql_catalog

MINE = Difference(joined(["1", None]), Kind.DIFFERENT, ("name",), {"name": "a\n"}, {"name": None})
PROOF = TableProof("lake:old.t", "ns.t", "table snapshot 1 of ns.t and 2 of old.t", 5, 6, 1, (MINE,))

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the command on a catalog in a folder, with the configuration of the tests."""
    monkeypatch.setattr(verify, "open_catalog", lambda _: sql_catalog(tmp_path))
    monkeypatch.setattr(verify, "complete_config", lambda *_: configuration())
    app = typer.Typer()
    verify.register(app)
    return lambda *words: CliRunner().invoke(app, words)


def make(folder: Path, *names: tuple[str, str], kind: Any = LongType) -> None:
    catalog = sql_catalog(folder)
    for name in names:
        catalog.create_namespace_if_not_exists(name[0])
        catalog.create_table(name, Schema(NestedField(1, "id", kind(), required=False)))


@pytest.mark.parametrize(
    ("words", "kind", "said", "helps"),
    [
        (("--repair", "-t", "shop.customers"), ConfigError, "which of two tables is right", "--repair --table"),
        (("--rows-per-second", "5", "-t", "shop.customers"), ConfigError, "does not read it", "leave one"),
        ((), ConfigError, "compares one table, and 4 are chosen", "--against OTHER --table TABLE"),
        (("-t", "shop.customers"), TerminalError, "there is no table shop.customers", "cdc stream"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(
    run: Run, words: tuple[str, ...], kind: type[CdcError], said: str, helps: str
) -> None:
    error = run("--against", "old.t", *words).exception
    assert isinstance(error, kind)
    assert said in str(error)
    assert helps in error.hint


def test_a_table_to_compare_with_that_is_none_is_told_of_before_spark_starts(run: Run, tmp_path: Path) -> None:
    make(tmp_path, ("shop", "customers"))
    make(tmp_path, ("old", "timed"), kind=TimeType)
    chosen = ("-t", "public.customers", "--against")
    for other, kind, said in [
        ("old.customers", ConfigError, 'there is no table old.customers in catalog "lake"'),
        ("shop.customers", ConfigError, "shop.customers is the table that is to be compared"),
        ("customers", ConfigError, "expected namespace.table"),
        ("old.timed", PreflightError, 'column "id" of old.timed is of type time'),
    ]:
        error = run(*chosen, other).exception
        assert isinstance(error, kind), error
        assert said in str(error)
        assert error.hint


def test_a_comparison_ends_with_one_if_anything_differs(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def compared(_config: Any, _chosen: Any, *options: Any, quiet: bool) -> Any:
        asked.append((*options, quiet))
        yield PROOF

    monkeypatch.setattr(verify, "_compared", compared)
    path = tmp_path / "proofs.html"
    made = run("--against", "old.t", "-t", "shop.customers", "--behind", "2", "-n", "9", "--json", "--html", str(path))
    assert made.exit_code == 1
    assert asked == [(("old", "t"), 9, 2.0, True)]
    (table,) = json.loads(made.output)["tables"]
    assert (table["source"], table["different"], table["duplicate"]) == ("lake:old.t", 1, 0)
    assert table["differences"] == [{"kind": "different", "columns": ["name"]}]
    assert "DIFFERS: ns.t" in path.read_text()


def test_a_page_that_cannot_be_written_is_told_of_first(run: Run, tmp_path: Path) -> None:
    error = run("--html", str(tmp_path / "missing" / "x.html")).exception
    assert isinstance(error, ConfigError)
    assert "missing" in str(error)


def test_two_tables_are_named_where_their_values_are_shown() -> None:
    said = lines(PROOF, show_values=True)
    assert said[0] == "DIFFERS lake:old.t -> ns.t: 1 different, of 5 rows (name 1)"
    assert said[1].strip() == r"different 1, null: name: 'a\n' in old.t, null in ns.t"
    assert said[2].strip() == "compared at table snapshot 1 of ns.t and 2 of old.t"
    of_source = TableProof("shop:public.t", "ns.t", "0/1", 5, 6, 1, (MINE,))
    assert "'a\\n' in the source, null in the lake" in lines(of_source, show_values=True)[1]


def test_what_was_not_compared_is_said_and_keeps_tables_from_being_equal() -> None:
    told = TableProof("lake:old.t", "ns.t", "here", 5, one_sided=("note (only in old.t)",), held="ns.t is paused")
    assert lines(told, show_values=False) == [
        "equal   lake:old.t -> ns.t: 5 rows, at here",
        "        not compared, for one table has not got them: note (only in old.t)",
        "        what differs may be what did not come: ns.t is paused",
    ]
    apart = TableProof("lake:old.t", "ns.t", "here", 5, apart=("at (date in ns.t, string in old.t)",))
    assert lines(apart, show_values=False)[0] == (
        "DIFFERS lake:old.t -> ns.t: columns that could not be compared, of 5 rows"
    )
    found = proof_json(apart, show_values=False)
    assert (found["equal"], found["apart"]) == (False, ["at (date in ns.t, string in old.t)"])
