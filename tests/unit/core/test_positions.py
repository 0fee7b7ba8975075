import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.core.positions import EPOCH_DIGITS, LAYOUTS, OFFSET_DIGITS, Position, newer, parse_position


def positions(engine: str) -> st.SearchStrategy[Position]:
    layout = LAYOUTS[engine]
    near = st.sampled_from([0, 1, 9, 10, 15, 16, 255, 256])

    def number(digits: int) -> st.SearchStrategy[int]:
        return st.one_of(near.map(lambda n: n % 16**digits), st.integers(0, 16**digits - 1))

    components = st.tuples(*(number(digits) for digits in layout.digits))
    return st.builds(Position, number(EPOCH_DIGITS), components, number(OFFSET_DIGITS))


@pytest.mark.parametrize("engine", LAYOUTS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_order_of_texts_is_the_order_of_positions(engine: str, data: st.DataObject) -> None:
    """M22: numbers, never text of varying width (binlog.9 before binlog.10)."""
    one, other = data.draw(positions(engine)), data.draw(positions(engine))
    layout = LAYOUTS[engine]
    assert (one.text(layout) < other.text(layout)) == (one < other)
    assert (one.text(layout) == other.text(layout)) == (one == other)


@pytest.mark.parametrize("engine", LAYOUTS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_text_can_be_parsed_back(engine: str, data: st.DataObject) -> None:
    position = data.draw(positions(engine))
    text = position.text(LAYOUTS[engine])
    assert parse_position(text) == position
    assert text.startswith(position.place(LAYOUTS[engine]))
    assert len(position.place(LAYOUTS[engine])) == LAYOUTS[engine].place_width


@pytest.mark.parametrize("engine", LAYOUTS)
@pytest.mark.parametrize("at", range(3))
def test_a_component_too_large_is_refused(engine: str, at: int) -> None:
    layout = LAYOUTS[engine]
    components = [0, 0, 0]
    components[at] = 16 ** layout.digits[at]
    with pytest.raises(ValueError, match="does not fit"):
        Position(0, (components[0], components[1], components[2]), 0).text(layout)


@pytest.mark.parametrize("position", [Position(-1, (0, 0, 0), 0), Position(0, (0, 0, 0), 16**16)])
def test_a_negative_epoch_or_too_large_offset_is_refused(position: Position) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        position.text(LAYOUTS["postgres"])


def test_commits_decide_before_changes() -> None:
    """P1: a long transaction's change has a smaller LSN than one that committed earlier, and yet it wins."""
    layout = LAYOUTS["postgres"]
    assert newer(Position(0, (200, 1, 120), 0), Position(0, (100, 1, 150), 0), layout)


def test_reads_lose_ties() -> None:
    layout = LAYOUTS["postgres"]
    assert newer(Position(0, (0, 1, 5), 0), Position(0, (0, 0, 9), 9), layout)


def test_a_higher_epoch_wins_over_everything() -> None:
    layout = LAYOUTS["mysql"]
    assert newer(Position(1, (1, 4, 0), 0), Position(0, (99, 10**9, 1), 9), layout)


@pytest.mark.parametrize(("engine", "wins"), [("postgres", False), ("oracle", False), ("mysql", True)])
def test_the_offset_decides_only_where_changes_share_a_place(engine: str, wins: bool) -> None:
    """M12: MySQL's compressed transactions give several changes one place; elsewhere it is a redelivery."""
    place = (7, 1, 1)
    assert newer(Position(0, place, 6), Position(0, place, 5), LAYOUTS[engine]) is wins
    assert not newer(Position(0, place, 5), Position(0, place, 5), LAYOUTS[engine])


def test_anything_is_newer_than_nothing() -> None:
    assert newer(Position(0, (0, 0, 0), 0), None, LAYOUTS["oracle"])


@pytest.mark.parametrize("engine", LAYOUTS)
def test_transaction_width_covers_what_a_transaction_shares(engine: str) -> None:
    layout = LAYOUTS[engine]
    one = Position(1, (3, 0, 0), 0).text(layout)
    other = Position(1, (3, 0, 1), 9).text(layout)
    assert one[: layout.transaction_width] == other[: layout.transaction_width]
    later = Position(1, (4, 0, 0), 0).text(layout)
    assert one[: layout.transaction_width] != later[: layout.transaction_width]
