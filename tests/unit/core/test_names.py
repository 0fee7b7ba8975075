import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.core.names import TableName, lake_part, parse_table_name, quote, quote_table, topic_part

CHARACTERS = st.one_of(
    st.sampled_from("\".` '\\;-\u202e\u05d0\u0627😀é\n\t"), st.characters(exclude_characters="\0", codec="utf-8")
)
ODD = st.text(CHARACTERS, min_size=1, max_size=20)


@settings(deadline=None)
@given(ODD, ODD)
def test_every_name_survives_printing_and_parsing(namespace: str, table: str) -> None:
    """P65."""
    name = TableName(namespace, table)
    assert parse_table_name(str(name)) == name


@settings(deadline=None)
@given(ODD, st.sampled_from('"`'))
def test_a_quoted_identifier_ends_where_it_should(identifier: str, mark: str) -> None:
    quoted = quote(identifier, mark)
    inner = quoted[1:-1]
    assert quoted[0] == quoted[-1] == mark
    assert mark not in inner.replace(mark * 2, "")
    assert inner.replace(mark * 2, mark) == identifier


@pytest.mark.parametrize("identifier", ["", "a\0b", "\0"])
def test_nul_and_emptiness_are_refused(identifier: str) -> None:
    with pytest.raises(ValueError, match="not an identifier"):
        quote(identifier)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("public.customers", ("public", "customers")),
        ('public."Order. Items"', ("public", "Order. Items")),
        ('"a.b"."c""d"', ("a.b", 'c"d')),
        ("my-shop.orders", ("my-shop", "orders")),
        ("a.b c", ("a", "b c")),
        ("\u05d0.😀", ("\u05d0", "😀")),
    ],
)
def test_parsing(text: str, name: tuple[str, str]) -> None:
    assert parse_table_name(text) == name


@pytest.mark.parametrize("text", ["", "a", "a.b.c", ".b", "a.", '"a.b', 'a."b', 'a.""', "a..b", '"a"b.c'])
def test_what_is_no_table_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="table"):
        parse_table_name(text)


def test_qualified_names_are_quoted_part_by_part() -> None:
    assert quote_table(("lake", "a`b", "c.d"), "`") == "`lake`.`a``b`.`c.d`"


@pytest.mark.parametrize(
    ("name", "topic", "lake"),
    [("Order. Items", "Order._Items", "order__items"), ("straße", "stra_e", "stra_e"), ("a-b_C", "a-b_C", "a_b_c")],
)
def test_derived_names(name: str, topic: str, lake: str) -> None:
    assert topic_part(name) == topic
    assert lake_part(name) == lake
