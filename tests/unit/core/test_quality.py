"""Rules of quality: what kind one is, which verdict stops a table, and what is said of them."""

import pytest

from cdc.core.names import TableName
from cdc.core.quality import Action, Reference, Rule, Verdict, broken, out_of_bounds, stopping

CHECK, STOP = Rule("check", check="n > 0"), Rule("stop", check="n > 0", action=Action.STOP)
BOUNDS = Rule("bounds", rows=(2, 5))


def test_a_rule_is_of_the_kind_that_says_what_it_is() -> None:
    reference = Reference(("a",), TableName("ns", "t"), ("id",))
    rules = [CHECK, Rule("u", unique=("a",)), Rule("r", references=reference), BOUNDS]
    assert [rule.kind for rule in rules] == ["check", "unique", "references", "rows"]


@pytest.mark.parametrize(
    ("rows", "bounds", "out"),
    [
        (1, (2, 5), 1),
        (2, (2, 5), 0),
        (5, (2, 5), 0),
        (7, (2, 5), 2),
        (0, (None, 0), 0),
        (1, (None, 0), 1),
        (9, (3, None), 0),
    ],
)
def test_a_table_has_as_many_rows_too_few_or_too_many(
    rows: int, bounds: tuple[int | None, int | None], out: int
) -> None:
    assert out_of_bounds(rows, bounds) == out


def test_only_a_rule_that_is_told_to_stops_a_table() -> None:
    well, told = Verdict(STOP, 9), Verdict(CHECK, 9, 3)
    assert stopping([well, told]) is None
    for stops in (Verdict(STOP, 9, 1), Verdict(STOP, 9, error="UNRESOLVED_COLUMN")):
        assert stopping([well, told, stops]) is stops
    assert list(broken([well, told])) == ["check"]


def test_what_is_said_of_a_rule_names_it_and_how_many_rows_break_it() -> None:
    assert str(Verdict(CHECK, 9_000, 1_234)) == "rule 'check' is broken by 1,234 rows"
    assert str(Verdict(BOUNDS, 7, 2)) == "rule 'bounds' is broken: there are 7 rows"
    assert str(Verdict(CHECK, 9, error="UNRESOLVED_COLUMN")) == "rule 'check' cannot be evaluated (UNRESOLVED_COLUMN)"
