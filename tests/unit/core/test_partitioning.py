import pytest

from cdc.core.partitioning import PartitionTerm, parse_term, shown_term


@pytest.mark.parametrize(
    ("text", "term", "shown"),
    [
        ("region", ("identity", 0, "region"), "region"),
        ("identity(region)", ("identity", 0, "region"), "region"),
        ("bucket(16, order_id)", ("bucket", 16, "order_id"), "bucket(16, order_id)"),
        (" Truncate( 4 ,`a, (b``)` ) ", ("truncate", 4, "a, (b`)"), "truncate(4, a, (b`))"),
        ("days(at)", ("day", 0, "at"), "day(at)"),
        ("day(at)", ("day", 0, "at"), "day(at)"),
        ("Größe", ("identity", 0, "Größe"), "Größe"),
    ],
)
def test_terms_are_read_and_shown_in_one_form(text: str, term: tuple[str, int, str], shown: str) -> None:
    assert parse_term(text) == PartitionTerm(*term)
    assert str(parse_term(text)) == shown


@pytest.mark.parametrize(("text", "sql"), [("c", "`c`"), ("bucket(4, c)", "bucket(4, `c`)"), ("day(c)", "days(`c`)")])
def test_terms_are_quoted_in_statements(text: str, sql: str) -> None:
    assert parse_term(text).sql() == sql


@pytest.mark.parametrize(
    "text", ["", "bucket(id)", "day(4, at)", "week(at)", "bucket(4, id", "id)", "a b", "x); DROP TABLE y", "day()"]
)
def test_what_is_no_term_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no partition term"):
        parse_term(text)


@pytest.mark.parametrize(
    ("transform", "shown"), [("identity", "c"), ("bucket[16]", "bucket(16, c)"), ("hour", "hour(c)")]
)
def test_fields_of_tables_are_shown_like_terms(transform: str, shown: str) -> None:
    assert shown_term(transform, "c") == shown
