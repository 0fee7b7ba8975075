import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.core.positions import (
    EPOCH_DIGITS,
    LAYOUTS,
    OFFSET_DIGITS,
    Position,
    connector_place,
    log_place,
    newer,
    parse_position,
)


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
    """M7, O1: numbers, never text of varying width (binlog.9 before binlog.10)."""
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
    """P29: a long transaction's change has a smaller LSN than one that committed earlier, and yet it wins."""
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
    """M12, O11: MySQL's compressed transactions give several changes one place; elsewhere it is a redelivery."""
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


@pytest.mark.parametrize(
    ("engine", "text", "expected"),
    [
        ("postgres", "0/0", (0,)),
        ("postgres", "16/3002D50", (0x16_0300_2D50,)),
        ("mysql", "binlog.000003:1234", (3, 1234)),
        ("mysql", "my.odd:log.000010:4 a-b:1-5,c-d:1-3:7", (10, 4)),
        ("oracle", "90071992547409931", (90071992547409931,)),
    ],
)
def test_places_are_read_as_the_sources_print_them(engine: str, text: str, expected: tuple[int, ...]) -> None:
    assert log_place(engine, text) == expected


@pytest.mark.parametrize(
    ("engine", "text"), [("postgres", "16"), ("postgres", "x/y"), ("mysql", "binlog:1"), ("mysql", ""), ("oracle", "")]
)
def test_what_is_no_place_is_an_error(engine: str, text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        log_place(engine, text)


def test_places_compare_as_numbers() -> None:
    """M7: binlog.9 before binlog.10, and 9/0 before 10/0."""
    assert log_place("mysql", "b.000009:99") < log_place("mysql", "b.000010:4") < log_place("mysql", "b.1000000:4")
    assert log_place("postgres", "9/FFFFFFFF") < log_place("postgres", "10/0")


@pytest.mark.parametrize(
    ("engine", "offset", "expected"),
    [
        # As Debezium 3.7.0 and 3.6.1 stored them.
        (
            "postgres",
            {"lsn_proc": 7, "lsn_events_processed": 1, "messageType": "UPDATE", "lsn_commit": 5, "lsn": 7},
            (5,),
        ),
        ("postgres", {"lsn_proc": 9, "messageType": "MESSAGE", "lsn_commit": 9, "lsn": 9}, (9,)),
        ("postgres", {"lsn": 32323384, "txId": 7220, "ts_usec": 1}, None),
        ("postgres", {"lsn": 5, "lsn_commit": 5, "snapshot": "INITIAL", "snapshot_completed": False}, None),
        ("mysql", {"file": "binlog.000002", "pos": 3289, "row": 1, "server_id": 1, "event": 2}, (2, 3289)),
        ("mysql", {"file": "binlog.000003", "pos": 1033596, "gtids": "x:1-3597", "snapshot": "INITIAL"}, None),
        ("mysql", {"ts_sec": 1}, None),
        ("oracle", {"scn": "123", "commit_scn": "130:1:x"}, (123,)),
        ("oracle", {"snapshot": True, "scn": "123"}, None),
        ("oracle", {}, None),
    ],
)
def test_the_place_of_a_connector(engine: str, offset: dict[str, object], expected: tuple[int, ...] | None) -> None:
    assert connector_place(engine, offset) == expected
