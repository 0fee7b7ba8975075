"""What `cdc status` says of services and sources."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cdc.cli import status, status_view
from cdc.cli.status import DOWN, Seen, SourceSeen, rows_of, see
from cdc.core.names import TableName
from cdc.core.preflight import Finding
from cdc.core.proof import Difference, Kind, TableProof
from cdc.core.trouble import Trouble, to_json
from cdc.lake.control import Control
from cdc.lake.holder import LeaseSeen, this_process
from cdc.lake.verifications import Proved, Verifications
from tests.fakes.configuration import POSTGRES, configuration
from tests.sql_catalog import sql_catalog
from tests.unit.cli.test_tables import ROW

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FAILED = Finding("connector_failed", "it failed", "restart it")
MISSING = Finding("table_missing", "it is gone", "", table=TableName("public", "a"))


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that looks, with a service that is up or not, and findings of a look without it."""
    catalog = sql_catalog(tmp_path)
    Control(catalog, "cdc").note(relations={}, troubles={"shop": to_json([Trouble(FAILED, BEGAN)])})
    config = configuration(POSTGRES).model_copy(update={"metadata_namespace": "cdc"})

    def look(*, up: bool, findings: tuple[Finding, ...] = ()) -> Seen:
        lease = LeaseSeen(this_process(), datetime.now(UTC) - (timedelta() if up else timedelta(hours=1)))
        monkeypatch.setattr(status, "open_catalog", lambda _: catalog)
        monkeypatch.setattr(status, "read_lease", lambda *_: lease)
        monkeypatch.setattr(status, "find_now", lambda *_: findings)
        monkeypatch.setattr(status, "read_status", lambda *_: [ROW])
        return see(config, live=True)

    return look


def test_with_the_service_up_its_own_word_counts(seen: Any) -> None:
    found = seen(up=True, findings=(MISSING,))
    assert [(row.target, row.state) for row in found.rows] == [("shop.a", "running")]
    assert found.sources[0].troubles == [Trouble(FAILED, BEGAN)]
    assert "service of shop is up (process " in str(found.sources[0])


def test_with_the_service_down_no_table_runs_and_the_source_is_looked_at(seen: Any) -> None:
    """A process that was gone left `running` behind."""
    remark = Finding("superuser", "", "", fatal=False)
    found = seen(up=False, findings=(FAILED, MISSING, remark))
    assert [row.state for row in found.rows] == [DOWN]
    (source,) = found.sources
    assert [one.finding for one in source.troubles] == [FAILED, MISSING]
    assert source.troubles[0].since == BEGAN
    assert str(source).startswith("service of shop is down since 20")
    document = json.loads(json.dumps(status._json(found), default=str))  # noqa: SLF001
    assert [one["state"] for one in document] == ["down", "service down", "trouble", "trouble"]
    assert document[-1]["table"] == "public.a"


def test_a_service_that_never_ran_says_how_it_is_started() -> None:
    assert str(SourceSeen("shop", False, "", None, [])) == "service of shop is down: it never ran; start it: cdc stream"


def test_a_stopped_table_stays_so_and_other_sources_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [replace(ROW, state="stopped"), replace(ROW, pipeline="other")]
    monkeypatch.setattr(status, "read_status", lambda *_: rows)
    assert [row.state for row in rows_of(None, "cdc", {"shop": False})] == ["stopped"]  # type: ignore[arg-type]


LONG = "a_namespace_of_many_letters.a_table_whose_name_is_as_long_as_names_may_be_in_a_database_of_today"
STATES = ("running", "waiting", "loading", "paused", "stopped", "down")


def rendered(width: int, *, wide: bool) -> str:
    """Return what a terminal of that width shows of tables with long names and much to say."""
    error = "IncompatibleSchema: column of another type; `cdc tables reset x` loads it anew " * 3
    rows = [
        replace(
            ROW,
            target=f"{LONG}_{state}",
            state=state,
            events=12_345_678_901,
            inserted=9_999_999_999,
            quarantined=1,
            lag_seconds=123_456.7,
            committed_at=BEGAN,
            position="0-0000000000000000-1-0000000000000000-0000000000000000",
            last_error=error if state == "stopped" else "",
        )
        for state in STATES
    ]
    missing = MISSING._replace(hint="grant SELECT ON public.a [to] the role " * 4)
    sources = [SourceSeen("a_source_with_a_long_name", False, "process 1 on host", BEGAN, [Trouble(missing, BEGAN)])]
    proofs = {row.target: Proved(BEGAN, row.state != "down", "0/1", 12_345_678, 0) for row in rows[1:]}
    view = status_view.shown(rows, [], sources, proofs=proofs, wide=wide)
    console = status_view.wide_enough(Console(width=width, file=StringIO()), view, wide=wide)
    with console.capture() as captured:
        console.print(view)
    return captured.get()


def test_it_fits_80_columns_and_cuts_nothing_off() -> None:
    shown = rendered(80, wide=False)
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    whole = re.sub(r"[\s│]", "", shown)
    assert all(f"_{state}" in whole for state in STATES)
    assert "12,345,678,901" in shown
    assert "12,345,678 differ" in " ".join(re.sub("[│┃]", " ", shown).split())
    assert "hint: grant SELECT ON public.a [to] the role" in shown
    assert "hint: cdc tables resume a_namespace_of_many_letters" in " ".join(shown.split())
    assert "hint: `cdc stream --source a_source_with_a_long_name` runs it" in shown
    assert "hint: `cdc quarantine list`" in shown


def test_a_table_is_shown_with_what_its_last_proof_found(seen: Any, tmp_path: Path) -> None:
    """A proof that failed says nothing of the table: the one before it counts."""
    proofs = Verifications(sql_catalog(tmp_path), "cdc")
    proofs.write(TableProof("shop:public.a", "shop.a", position="0/1", differences=(Difference("1,;", Kind.EXTRA),)))
    proofs.write(TableProof("shop:public.a", "shop.a", position="0/2", unsettled=3))
    proofs.write(TableProof("shop:public.a", "shop.a", error="the lake does not come on"))
    found = seen(up=True)
    (proof,) = found.proofs.values()
    assert (proof.equal, proof.position, proof.differences, proof.unsettled) == (True, "0/2", 0, 3)
    assert datetime.now(UTC) - proof.at < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (119, "119 s"), (121, "2 min"), (7201, "2 h"), (90_000, "25 h"), (190_000, "2 d")]
)
def test_how_long_ago_is_told_in_one_unit(seconds: float, text: str) -> None:
    assert status_view.ago(datetime.now(UTC) - timedelta(seconds=seconds)) == f"{text} ago"


def test_wide_shows_everything_in_one_line_a_table() -> None:
    shown = rendered(80, wide=True)
    for state in STATES:
        (line,) = [line for line in shown.splitlines() if f"{LONG}_{state} " in line and "│" in line]
        assert "9,999,999,999/0/0" in line
        assert "0-0000000000000000-1-0000000000000000" in line
    assert "…" not in shown


def test_why_tells_the_way_of_the_last_batch_of_each_table() -> None:
    ways = {
        "a": ("rewrite", 0.05),
        "b": ("merge: it has 30000 rows; decoded by Spark: a message without a key", 2.5),
        "c": ("delta; decoded by Spark: events in JSON", 0.4),
        "d": (None, None),
    }
    rows = [replace(ROW, target=name, way=way, seconds=seconds) for name, (way, seconds) in ways.items()]
    view = status_view.shown(rows, [], [], why=True)
    console = Console(width=200, file=StringIO())
    with console.capture() as captured:
        console.print(view)
    lines = [line for line in captured.get().splitlines() if re.match(r"[abcd]: ", line)]
    assert lines == [
        "a: the table is small, and was written anew without Spark (0.05 s)",
        "b: Spark merged: it has 30000 rows; decoded by Spark: a message without a key (2.50 s)",
        "c: new rows and deletes by position, without Spark; the key index knew where the rows are; decoded by Spark: "
        "events in JSON (0.40 s)",
        "d: no batch with changes yet",
    ]
    assert all(way.partition(":")[0].partition(";")[0] in status_view.WAYS for way, _ in ways.values() if way)
