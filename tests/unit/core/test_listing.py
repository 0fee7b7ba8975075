"""Which columns of a table become its key when nobody has chosen any."""

import pytest

from cdc.core.listing import Key, Kind, ListedTable, UniqueIndex, choose_key, default_key, fits
from cdc.core.names import TableName
from cdc.core.preflight import Finding, SourceColumn, SourceTable, excluded_columns

PRIMARY = UniqueIndex("t_pkey", ("region", "id"), primary=True)
CODE = UniqueIndex("t_code", ("code",), primary=False)
PAIR = UniqueIndex("t_pair", ("code", "id"), primary=False)
NOTE = UniqueIndex("t_note", ("note",), primary=False)


def listed(*indexes: UniqueIndex, identity: tuple[str, ...] | None = None) -> ListedTable:
    columns = tuple(SourceColumn(n, "bigint", n == "note", generated=False) for n in ("id", "region", "code", "note"))
    keys = frozenset(frozenset(index.columns) for index in indexes)
    known = None if identity is None else frozenset(identity)
    return ListedTable(SourceTable(TableName("public", "t"), columns, keys, known), Kind.TABLE, indexes)


@pytest.mark.parametrize(
    ("indexes", "identity", "chosen"),
    [
        ((CODE, PRIMARY), None, PRIMARY),
        ((PAIR, CODE), None, CODE),
        ((NOTE, CODE), None, CODE),
        ((CODE, PAIR), ("code", "id"), PAIR),
        ((PRIMARY, CODE), ("code",), CODE),
    ],
)
def test_the_key_is_the_primary_key_or_what_identifies_the_rows_best(
    indexes: tuple[UniqueIndex, ...], identity: tuple[str, ...] | None, chosen: UniqueIndex
) -> None:
    assert choose_key(listed(*indexes, identity=identity)) == Key(chosen, ())


def test_a_key_that_only_the_log_lacks_can_be_mended() -> None:
    key = choose_key(listed(CODE, NOTE, identity=()))
    assert isinstance(key, Key)
    assert key.unique == CODE
    assert [finding.name for finding in key.findings] == ["key_not_in_identity"]


def test_the_columns_of_a_key_keep_their_order() -> None:
    key = choose_key(listed(PRIMARY, identity=("id", "region")))
    assert isinstance(key, Key)
    assert key.unique.columns == ("region", "id")


@pytest.mark.parametrize(("indexes", "name"), [((), "key_not_unique"), ((NOTE,), "key_nullable")])
def test_a_table_without_a_key_says_why(indexes: tuple[UniqueIndex, ...], name: str) -> None:
    found = choose_key(listed(*indexes, identity=()))
    assert isinstance(found, Finding)
    assert found.name == name


@pytest.mark.parametrize(
    ("setting", "excluded"),
    [
        ("", []),
        ("public.t.code", ["code"]),
        (r"public\.t\.CODE, public\.t\.id", ["id", "code"]),
        (r"public\.other\.code", []),
        (r"public\.t\.co\x{64}e", ["code"]),  # as connectors are told of odd names
    ],
)
def test_columns_are_excluded_by_javas_patterns_of_their_whole_names(setting: str, excluded: list[str]) -> None:
    assert excluded_columns(listed(PRIMARY).table, setting) == excluded


@pytest.mark.parametrize(
    ("indexes", "identity", "columns"),
    [
        ((CODE, PRIMARY), None, ("region", "id")),
        ((CODE, NOTE), None, ("code",)),
        ((CODE, PAIR), ("code", "id"), ("code", "id")),  # REPLICA IDENTITY USING INDEX
        ((PRIMARY, CODE), ("code",), ("code",)),
        ((CODE,), (), ("code",)),  # of which the check says what the log lacks
    ],
)
def test_a_key_that_is_not_configured_is_what_the_source_declares(
    indexes: tuple[UniqueIndex, ...], identity: tuple[str, ...] | None, columns: tuple[str, ...]
) -> None:
    """P8."""
    assert default_key(listed(*indexes, identity=identity)) == columns


@pytest.mark.parametrize("identity", [None, ()])
def test_of_several_unique_indexes_nobody_but_a_person_chooses(identity: tuple[str, ...] | None) -> None:
    found = default_key(listed(CODE, PAIR, identity=identity))
    assert isinstance(found, Finding)
    assert found.name == "no_key"
    assert "(code) or (code, id)" in found.hint


@pytest.mark.parametrize(
    ("pattern", "name", "fit"),
    [
        ("public.*", "public.a", True),
        ("public.*", "sales.a", False),
        ("*.orders", "sales.orders", True),
        ("sales.o*s", "sales.orders", True),
        ("sales.o*s", "sales.order", False),
        ("sales.a.b*", "sales.a.b", True),
        ("s?les.*", "sales.a", False),
    ],
)
def test_a_star_is_any_text_within_a_part(pattern: str, name: str, fit: bool) -> None:
    assert fits(TableName(*pattern.split(".", 1)), TableName(*name.split(".", 1))) is fit
