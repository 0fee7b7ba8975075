"""Why a table does not go on is said at once, with what helps."""

from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from cdc.bootstrap.equality import Sides, SidesParts
from cdc.bootstrap.standing import Standing, held_by
from cdc.core.control import ControlState, Pause, Stale
from cdc.core.errors import TransientError
from cdc.core.names import TableName
from cdc.core.positions import LAYOUTS
from cdc.core.status import StatusRow
from cdc.lake.control import Control
from cdc.pipeline.prove import Progressing, Proof
from cdc.pipeline.table import TableSpec
from tests.sql_catalog import sql_catalog
from tests.unit.verify.test_prove import filled

TARGET = TableName("shop", "t")


def row(state: str, error: str, target: str = "shop.t") -> StatusRow:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    return StatusRow(
        "shop", "shop.public.t", target, state, "", "", None, 1, 0, 0, 0, 0, 0, 0, None, None, None, at, error
    )


def parts(catalog: Catalog, trouble: str) -> SidesParts:
    """The parts of a table's sides that are asked why it does not go on; the others are there for what is not asked."""
    spec = TableSpec("shop", "postgres", "shop.public.t", TARGET, ("id",), LAYOUTS["postgres"], (), {})
    others: Any = None
    return SidesParts(
        source=others,
        table=TableName("public", "t"),
        spec=spec,
        declared={},
        session=others,
        catalog=catalog,
        catalog_name="lake",
        namespace="cdc",
        engine=others,
        messages=others,
        passed=lambda _high: False,
        trouble=lambda: trouble,
    )


@pytest.mark.parametrize(
    ("control", "rows", "said", "helps"),
    [
        (ControlState(), [], "", ""),
        (ControlState(), [row("running", "")], "", ""),
        (ControlState(), [row("stopped", "x", "shop.other")], "", ""),
        (ControlState({"shop.t": Pause("ann", "noon", "a deploy")}), [], "paused by ann", "cdc tables resume shop.t"),
        (ControlState(stale={"shop.t": Stale("noon", "a lost slot")}), [], "a lost slot", "cdc tables reset shop.t"),
        (ControlState(), [row("stopped", "a key is null; `cdc doctor`")], "a key is null", "cdc doctor"),
        (ControlState(), [row("stopped", "")], "shop.t is stopped", "cdc status"),
    ],
)
def test_each_state_has_its_reason_and_its_remedy(
    control: ControlState, rows: list[StatusRow], said: str, helps: str
) -> None:
    found = held_by(TARGET, control, rows)
    assert bool(found) == bool(said)
    assert said in found
    assert helps in found


def test_a_paused_table_was_waited_for_for_five_minutes(tmp_path: Path) -> None:
    """`cdc verify` waited for 300 s and asked whether the stream was running, while somebody had paused the table."""
    catalog = sql_catalog(tmp_path)
    Control(catalog, "cdc").pause(TARGET, "ann", "a deploy")
    sides, clock, told = filled(5), count(0, 4), list[Progressing]()
    sides.put("1", "x")
    sides.follow = lambda _changes: None  # type: ignore[method-assign]
    sides.trouble = Sides(parts(catalog, "connector 'shop' is paused")).trouble  # type: ignore[method-assign]
    proof = Proof(
        sides,
        ("public.t", "shop.t"),
        on_progress=told.append,
        pause=lambda _seconds: None,
        clock=lambda: float(next(clock)),
    )
    with pytest.raises(TransientError, match=r"within [12]\d s: shop\.t is paused by ann") as caught:
        proof.run()
    assert "`cdc tables resume shop.t` lets it go on; then `cdc verify` again" in caught.value.said_of("public.t")
    assert "paused by ann" in next(one.detail for one in told if one.detail)


def test_a_table_that_nobody_holds_is_asked_of_its_connector(tmp_path: Path) -> None:
    assert Sides(parts(sql_catalog(tmp_path), "connector 'shop' is paused")).trouble() == "connector 'shop' is paused"


def test_what_is_written_down_is_not_read_for_every_question(tmp_path: Path) -> None:
    """Who waits asks five times a second, and the answer is two tables."""
    catalog, now = sql_catalog(tmp_path), [0.0]
    standing = Standing(catalog, "cdc", TARGET, lambda: now[0])
    assert standing.why() == ""
    Control(catalog, "cdc").pause(TARGET, "ann", "")
    assert standing.why() == ""
    now[0] = 2.5
    assert "paused by ann" in standing.why()
