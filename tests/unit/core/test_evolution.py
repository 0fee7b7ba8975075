import pytest

from cdc.core.errors import IncompatibleSchema
from cdc.core.evolution import SchemaPlan, plan_schema, unify, wider
from cdc.core.types import EventField, EventSchema


def schema(**columns: str) -> EventSchema:
    return EventSchema(tuple(EventField(name, name, physical) for name, physical in columns.items()))


def test_versions_of_a_schema_make_one() -> None:
    assert unify([schema(id="int", a="int"), schema(id="int", a="long", b="string")]) == {
        "id": "int",
        "a": "long",
        "b": "string",
    }


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("int", "long", "long"),
        ("float", "double", "double"),
        ("decimal(5, 2)", "decimal(9, 2)", "decimal(9, 2)"),
        ("string", "string", "string"),
    ],
)
def test_what_iceberg_promotes(one: str, other: str, both: str) -> None:
    """S28."""
    assert wider("c", one, other) == wider("c", other, one) == both


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("int", "string"),
        ("string", "long"),
        ("long", "double"),
        ("decimal(5, 2)", "decimal(9, 3)"),
        ("timestamp", "timestamptz"),
        ("date", "timestamp"),
        ("list<int>", "list<long>"),
        ("boolean", "int"),
    ],
)
def test_what_iceberg_does_not_promote_stops_the_table(one: str, other: str) -> None:
    """P70, S28, S32."""
    with pytest.raises(IncompatibleSchema, match="'c'"):
        wider("c", one, other)


def test_new_columns_are_added_and_wider_types_widened() -> None:
    plan = plan_schema({"id": "int", "n": "int", "gone": "string"}, {"id": "int", "n": "long", "new": "date"})
    assert plan == SchemaPlan({"new": "date"}, {"n": "long"})


def test_a_narrower_event_changes_nothing() -> None:
    """P70."""
    assert not plan_schema({"n": "long"}, {"n": "int"})


@pytest.mark.parametrize("name", ["_cdc_position", "_CDC_op", "_cdc_x", "_file", "_Pos", "_row_id"])
def test_reserved_names_are_refused(name: str) -> None:
    """S33."""
    with pytest.raises(IncompatibleSchema, match="reserved"):
        plan_schema({}, {name: "string"})
