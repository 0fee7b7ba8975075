"""Rules of quality on real tables: a batch is judged before it is published, a whole table when it is looked at."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pyspark.sql import DataFrame

from cdc.core.errors import PreflightError, RuleBroken
from cdc.core.names import TableName
from cdc.core.quality import Action, Reference, Rule, Verdict
from cdc.spark.quality import Look
from cdc.spark.work import Direct
from tests.contract.events import INT, NUMBERED, TEXT, Topic, column
from tests.lake import LakeTable

NewTable = Callable[..., LakeTable]
AMOUNT, STATE = Rule("amount", check="n >= 0"), Rule("state", check="n % 2 = 0 OR id > 5")
WAYS: dict[str, dict[str, bool]] = {"rewrite": {}, "delta": {"deltas": True}, "merge": {}, "large": {}}


@pytest.fixture(params=WAYS)
def ruled(
    request: pytest.FixtureRequest, new_table: NewTable, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., LakeTable]:
    """Return a function that makes a table with rules, whose batches are staged in one of the ways."""

    def make(name: str, *rules: Rule) -> LakeTable:
        table = new_table(f"quality_{name}_{request.param}", NUMBERED, **WAYS[request.param])
        table.spec = replace(table.spec, rules=rules)
        table.rewrites = request.param in ("rewrite", "large")
        if request.param == "large":
            monkeypatch.setattr(table, "direct", lambda: Direct(messages=0))
        return table

    return make


def numbers(table: LakeTable) -> dict[int, Any]:
    return {row.id: row.n for row in table.rows()}


def test_rows_that_break_a_rule_are_counted_and_published(ruled: Callable[..., LakeTable]) -> None:
    """NULL holds, as in a CHECK constraint; what is deleted, and versions that a newer one follows, are no rows."""
    table, topic = ruled("warns", AMOUNT, STATE), Topic()
    first = [topic.change("c", {"id": i, "n": n}, (0, 10 + i)) for i, n in enumerate((-1, -2, 3, None, 4, -7, 7))]
    applied = table.apply(first)
    assert {name: (one.broken, one.rows) for name, one in applied.broken.items()} == {"amount": (3, 7), "state": (3, 7)}
    assert numbers(table)[1] == -2
    mended = [
        topic.change("u", {"id": 0, "n": -5}, (0, 30)),
        topic.change("u", {"id": 0, "n": 6}, (0, 31)),
        topic.change("d", {"id": 1}, (0, 32)),
    ]
    assert table.apply(mended).broken == {}
    assert numbers(table) == {0: 6, 2: 3, 3: None, 4: 4, 5: -7, 6: 7}


def test_a_rule_that_stops_lets_nothing_of_a_batch_be_seen(ruled: Callable[..., LakeTable]) -> None:
    """The next try has what came meanwhile: a row that was mended in the source passes."""
    table, topic = ruled("stops", replace(AMOUNT, action=Action.STOP), STATE), Topic()
    table.apply([topic.change("c", {"id": i, "n": 2}, (0, 10 + i)) for i in range(3)])
    bad = [topic.change("u", {"id": 0, "n": 4}, (0, 20)), topic.change("u", {"id": 1, "n": -987654}, (0, 21))]
    with pytest.raises(RuleBroken, match="rule 'amount' is broken by 1 rows of a batch") as caught:
        table.apply(bad)
    assert "987654" not in f"{caught.value} {caught.value.hint}"
    assert numbers(table) == {0: 2, 1: 2, 2: 2}
    mended = topic.change("u", {"id": 1, "n": 8}, (0, 22))
    assert table.apply([*bad, mended]).broken == {}
    assert numbers(table) == {0: 4, 1: 8, 2: 2}


@pytest.mark.parametrize(
    ("check", "named"),
    [
        ("missing > 1", "UNRESOLVED_COLUMN"),
        ("n >", "PARSE_SYNTAX_ERROR"),
        ("cast(concat('secret', id) AS int) > 1", "CAST_INVALID_INPUT"),
        ("n", "DATATYPE_MISMATCH"),
    ],
)
def test_a_rule_that_cannot_be_evaluated_is_broken_and_hides_no_other(
    ruled: Callable[..., LakeTable], check: str, named: str
) -> None:
    """What Spark says of it may quote a value: its name is enough."""
    table, topic = ruled(f"cannot_{named.lower()}", Rule("wrong", check=check), AMOUNT), Topic()
    applied = table.apply([topic.change("c", {"id": 1, "n": -1}, (0, 10))])
    wrong = applied.broken["wrong"]
    assert named in wrong.error
    assert "secret" not in str(wrong)
    assert applied.broken["amount"].broken == 1
    table.spec = replace(table.spec, rules=(Rule("wrong", check=check, action=Action.STOP),))
    with pytest.raises(RuleBroken, match="cannot be evaluated"):
        table.apply([topic.change("u", {"id": 1, "n": 2}, (0, 20))])


ORDERS, CUSTOMERS = TableName("ns", "orders"), TableName("ns", "customers")
REFERENCE = Reference(("customer", "Odd `one"), CUSTOMERS, ("id", "part"))
RULES = [
    Rule("positive", check="amount > 0"),
    Rule("mail", unique=("mail",)),
    Rule("customer", references=REFERENCE),
    Rule("enough", rows=(5, None)),
    Rule("bounded", rows=(None, 4)),
    Rule("wrong", unique=("missing",)),
]


@pytest.fixture(scope="module")
def shop(lake: tuple[Any, Any]) -> Callable[[TableName], DataFrame]:
    session, _ = lake
    orders = [(1, 1, "a", "x", 5), (2, 9, "a", "x", -1), (3, None, "b", "y", 0), (4, 2, "a", None, 3)]
    frames = {
        ORDERS: session.createDataFrame(orders, "id int, customer int, `Odd ``one` string, mail string, amount int"),
        CUSTOMERS: session.createDataFrame([(1, "a"), (2, "b")], "id int, part string"),
    }
    return frames.__getitem__


def test_a_whole_table_is_judged_by_rules_of_every_kind(shop: Callable[[TableName], DataFrame]) -> None:
    pauses: list[float] = []
    found = Look(ORDERS, shop, pauses.append).run(RULES)
    assert [(one.rule.name, one.rows, one.broken, bool(one.error)) for one in found] == [
        ("positive", 4, 2, False),
        ("mail", 4, 2, False),
        ("customer", 4, 2, False),
        ("enough", 4, 1, False),
        ("bounded", 4, 0, False),
        ("wrong", 4, 0, True),
    ]
    assert len(pauses) == 1


def test_a_reference_to_a_table_that_is_not_there_hides_no_other_rule(shop: Callable[[TableName], DataFrame]) -> None:
    def read(name: TableName) -> DataFrame:
        if name == CUSTOMERS:
            raise PreflightError(f"table {name} holds nothing yet", hint="wait for it")
        return shop(name)

    lost, positive = Look(ORDERS, read).run([RULES[2], RULES[0]])
    assert (lost.error, positive.broken) == ("table ns.customers holds nothing yet", 2)


def test_a_row_whose_customer_was_on_its_way_was_said_to_have_none(
    lake: tuple[Any, Any], shop: Callable[[TableName], DataFrame]
) -> None:
    """Tables are published one by one: what is lost at two looks counts, and not what is so at one of them."""
    session, _ = lake
    later = session.createDataFrame([(1, "a"), (9, "a")], "id int, part string")
    reads: Iterator[DataFrame] = iter([shop(ORDERS), shop(CUSTOMERS), shop(ORDERS), later])
    look = Look(ORDERS, lambda _name: next(reads), lambda _seconds: None)
    assert look.run([RULES[2]]) == [Verdict(RULES[2], 4, 1)]


def test_columns_of_every_type_can_be_judged(new_table: NewTable) -> None:
    columns = [*NUMBERED, column("Odd `one", TEXT), column("more", INT)]
    table, topic = new_table("quality_types", columns), Topic()
    check = "`Odd ``one` RLIKE '^[a-z]+$' AND more BETWEEN 1 AND 9"
    table.spec = replace(table.spec, rules=(Rule("odd", check=check),))
    values = enumerate([("a", 1), ("A", 2), ("b", 10)])
    rows = [{"id": i, "n": 0, "Odd `one": text, "more": n} for i, (text, n) in values]
    applied = table.apply([topic.change("c", row, (0, 10)) for row in rows])
    assert applied.broken["odd"].broken == 2
