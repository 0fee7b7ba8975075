"""The checker is checked: each defect that a pipeline could leave in the lake is found, and called by its name."""

import ast
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pyiceberg.types import IntegerType, StringType

from tests.campaign import comparing
from tests.campaign.comparing.differences import Difference
from tests.campaign.comparing.source import MYSQL_FORMS, POSTGRES_FORMS, SourceColumn, SourceTable
from tests.campaign.comparing.texts import SORTS, of_source
from tests.unit.campaign.lake_tables import PRINTED, STORED, Planted, source_table

FIRST, SECOND, THIRD = ("1", "a"), ("1", "b"), ("2", "b")
PLACEHOLDER = "__debezium_unavailable_value"
ALL = tuple(Difference("missing", key) for key in (FIRST, SECOND, THIRD))


@dataclass(frozen=True)
class Defect:
    """What somebody does to the lake; which differences it makes; and the source, where it is another one."""

    name: str
    plant: Callable[[Planted], None]
    found: tuple[Difference, ...]
    source: SourceTable | None = None


def value(name: str, column: str, planted: object) -> Defect:
    """Return the defect of one wrong value in the first row."""
    return Defect(name, lambda lake: lake.replace(**{column: planted}), (Difference("different", FIRST, (column,)),))


def source_of(changed: dict[str, str | None]) -> SourceTable:
    """Return a source whose first row has other values."""
    return source_table((PRINTED[0] | changed, *PRINTED[1:]))


def with_column(kind: str, printed: str | None) -> SourceTable:
    """Return a source to which a column was added, which holds a value in the first row."""
    plain = source_table()
    rows = [(*row, printed if number == 0 else None) for number, row in enumerate(plain.rows)]
    return SourceTable((*plain.columns, SourceColumn("later", kind)), rows)


def swapped(lake: Planted) -> None:
    """Give each of two rows the other one's values."""
    lake.delete("id = 1")
    lake.append(STORED[0] | {"name": STORED[1]["name"], "n": STORED[1]["n"]})
    lake.append(STORED[1] | {"name": STORED[0]["name"], "n": STORED[0]["n"]})


def added_and_left_null(lake: Planted) -> None:
    with lake.table.update_schema() as update:
        update.add_column("later", IntegerType())


def column_of_another_type(lake: Planted) -> None:
    with lake.table.update_schema() as update:
        update.delete_column("total")
    with lake.table.update_schema() as update:
        update.add_column("total", StringType())


def next_double(number: float) -> float:
    return math.nextafter(number, math.inf)


def next_single(number: float) -> float:
    (bits,) = struct.unpack("<i", struct.pack("<f", number))
    return float(struct.unpack("<f", struct.pack("<i", bits + 1))[0])


def at(column: str, **shift: float) -> datetime:
    """Return the first row's time in a column, shifted."""
    stored: datetime = STORED[0][column]
    return stored + timedelta(**shift)


DEFECTS = [
    Defect("a lost row", lambda lake: lake.delete(), (Difference("missing", FIRST),)),
    Defect("a row twice", lambda lake: lake.append(STORED[0]), (Difference("doubled", FIRST),)),
    Defect(
        "a row beside its older version",
        lambda lake: lake.append(STORED[0] | {"n": -8}),
        (Difference("different", FIRST, ("n",)), Difference("doubled", FIRST)),
    ),
    Defect(
        "a row as it was before its last update",
        lambda lake: lake.replace(name="old", n=1),
        (Difference("different", FIRST, ("name", "n")),),
    ),
    Defect(
        "two updates of a transaction in the wrong order",  # total = 1 and then total = 2
        lambda lake: lake.replace(total=Decimal("1.00")),
        (Difference("different", FIRST, ("total",)),),
        source_of({"total": "2.00"}),
    ),
    value("a blank at the end of a text", "name", STORED[0]["name"] + " "),
    value("blanks that belong to a char are gone", "padded", "ab"),
    value("NULL instead of a value", "n", None),
    Defect(
        "NULL instead of an empty text",
        lambda lake: (lake.delete("id = 1 and code = 'b'"), lake.append(STORED[1] | {"name": None}))[0],
        (Difference("different", SECOND, ("name",)),),
    ),
    Defect(
        "an empty text instead of NULL",
        lambda lake: (lake.delete("id = 2"), lake.append(STORED[2] | {"name": ""}))[0],
        (Difference("different", THIRD, ("name",)),),
    ),
    Defect(
        "empty bytes instead of NULL",
        lambda lake: (lake.delete("id = 2"), lake.append(STORED[2] | {"picture": b""}))[0],
        (Difference("different", THIRD, ("picture",)),),
    ),
    value("one microsecond of a moment", "moment", at("moment", microseconds=1)),
    value("one microsecond of an instant", "instant", at("instant", microseconds=-1)),
    value("milliseconds where there were microseconds", "moment", datetime.fromisoformat("2024-03-31 02:30:00")),
    value("one unit in the last place of a double", "ratio", next_double(0.1 + 0.2)),
    value("one unit in the last place of a single", "single", next_single(0.1)),
    value("a hundredth of a decimal", "total", Decimal("10.51")),
    value("another scale of a decimal without one", "free", "1.5"),
    value("the placeholder of a large value", "name", PLACEHOLDER),
    value("the bytes of the placeholder", "picture", PLACEHOLDER.encode()),
    Defect(
        "a deleted row is back",
        lambda _: None,
        (Difference("extra", FIRST),),
        source_table(PRINTED[1:]),
    ),
    Defect(
        "a truncate that was skipped",
        lambda _: None,
        tuple(Difference("extra", key) for key in (FIRST, SECOND, THIRD)),
        source_table(()),
    ),
    Defect("a table that was emptied", lambda lake: lake.delete("id > 0"), ALL),
    Defect(
        "a key change that has left the old key",
        lambda lake: lake.append(STORED[0] | {"id": 5}),
        (Difference("extra", FIRST),),
        source_of({"id": "5"}),
    ),
    Defect(
        "a key change of which nothing has come",
        lambda _: None,
        (Difference("missing", ("5", "a")), Difference("extra", FIRST)),
        source_of({"id": "5"}),
    ),
    Defect(
        "a key that was changed in its case only",
        lambda _: None,
        (Difference("missing", ("1", "A")), Difference("extra", FIRST)),
        source_of({"code": "A"}),
    ),
    value("a byte of a picture", "picture", b"\x00\xff\x11"),
    value("a zero byte at the end", "picture", b"\x00\xff\x10\x00"),
    value("a time zone", "instant", at("instant", hours=1)),
    value("a moment taken for local time", "moment", at("moment", hours=-1)),
    Defect(
        "a negative zero without its sign",
        lambda lake: (lake.delete("id = 1 and code = 'b'"), lake.append(STORED[1] | {"ratio": 0.0}))[0],
        (Difference("different", SECOND, ("ratio",)),),
    ),
    Defect(
        "NULL instead of NaN",
        lambda lake: (lake.delete("id = 1 and code = 'b'"), lake.append(STORED[1] | {"single": None}))[0],
        (Difference("different", SECOND, ("single",)),),
    ),
    value("NaN instead of a number", "ratio", float("nan")),
    value("a date that is off by one day", "day", date(2024, 3, 1)),
    value("1970 instead of a date", "day", date(1970, 1, 1)),
    value("a boolean the other way round", "active", False),
    value("NULL instead of false", "active", None),
    value("a name of a JSON object is lost", "data", '{"a":{"c":12345678901234567890}}'),
    value("a large number of JSON through a double", "data", '{"a":{"c":12345678901234567000},"b":[1,null,"x"]}'),
    value("null of JSON is lost", "data", '{"a":{"c":12345678901234567890},"b":[1,"x"]}'),
    value("text instead of a number of JSON", "data", '{"a":{"c":"12345678901234567890"},"b":[1,null,"x"]}'),
    Defect(
        "two rows with each other's values",
        swapped,
        (Difference("different", FIRST, ("name", "n")), Difference("different", SECOND, ("name", "n"))),
    ),
    Defect(
        "a column that was added and has no value yet",
        added_and_left_null,
        (Difference("different", FIRST, ("later",)),),
        with_column("integer", "3"),
    ),
    Defect(
        "a column that was added and never came",
        lambda _: None,
        (Difference("different", FIRST, ("later",)),),
        with_column("integer", "3"),
    ),
    Defect(
        "a column that the source has not",
        added_and_left_null,
        (Difference("column", (), ("later",)),),
    ),
    Defect(
        "a decimal that became text, and lost its values",
        column_of_another_type,
        (
            Difference("column", (), ("total",)),
            Difference("different", FIRST, ("total",)),
            Difference("different", SECOND, ("total",)),
        ),
    ),
    value("an integer through a double", "large", int(float(2**53 + 1))),
    value("a composed letter instead of two", "name", "Zo\u00eb 🦊"),
    value("half of a surrogate pair as a question mark", "name", "Zoe\u0308 ?"),
    value("a time of day", "clock", 86_399_000_000),
    value("an identifier in capitals", "ref", "00000000-0000-4000-8000-00000000000A"),
]


@pytest.fixture
def lake(tmp_path: Path) -> Planted:
    return Planted(tmp_path)


def test_there_are_many_defects_and_each_has_its_name() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS) >= 40


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_found_and_called_by_its_name(lake: Planted, defect: Defect) -> None:
    defect.plant(lake)
    found = lake.compared(defect.source)
    assert not found.equal
    assert sorted(found.differences, key=str) == sorted(defect.found, key=str)


def test_a_table_that_nobody_has_touched_is_equal(lake: Planted) -> None:
    found = lake.compared()
    assert found.equal, found
    assert (found.source_rows, found.lake_rows) == (3, 3)


def test_rows_that_are_deleted_and_written_again_are_equal(lake: Planted) -> None:
    """What is planted is found for its value, not for having been written."""
    lake.replace()
    assert lake.compared().equal
    lake.delete("id > 0")
    assert lake.compared(source_table(())).equal


def test_a_column_that_is_null_everywhere_and_not_in_the_lake_yet_is_equal(lake: Planted) -> None:
    assert lake.compared(with_column("integer", None)).equal


def test_a_difference_says_what_it_is() -> None:
    assert str(Difference("different", ("1", "a"), ("n", "name"))) == "different ('1', 'a') n, name"
    assert str(Difference("missing", (None,))) == "missing (None,)"


@pytest.mark.parametrize(
    ("form", "printed"),
    [
        ("moment", "2024-01-01 00:00:00+00"),
        ("moment", "2024-01-01"),
        ("instant", "2024-01-01 00:00:00+02"),
        ("time", "noon"),
        ("integer", "1.5"),
    ],
)
def test_what_a_reader_does_not_understand_is_refused_and_not_guessed(form: str, printed: str) -> None:
    with pytest.raises(ValueError, match=r"not a|invalid"):
        of_source(form, printed)


def test_an_instant_is_never_taken_for_a_moment_without_a_zone() -> None:
    assert of_source("instant", "2024-01-01 00:00:00+00") == "2024-01-01 00:00:00.000000Z"
    assert of_source("moment", "2024-01-01 00:00:00") == "2024-01-01 00:00:00.000000"
    assert of_source("instant", "infinity") == "infinityZ"


def test_every_form_of_a_database_is_one_that_the_lake_can_have() -> None:
    assert set(POSTGRES_FORMS.values()) | set(MYSQL_FORMS.values()) <= set(SORTS)


def test_the_comparison_imports_nothing_of_what_it_checks() -> None:
    """Neither directly, nor through another module of the tests."""
    allowed = {"math", "collections", "dataclasses", "datetime", "decimal", "json", "re", "struct", "typing", "uuid"}
    allowed |= {"pyarrow", "pyiceberg"}
    (folder,) = comparing.__path__
    modules = sorted(Path(folder).glob("*.py"))
    assert len(modules) >= 5
    for module in modules:
        found = imported(module)
        own = {name for name in found if name.startswith("tests.campaign.comparing.")}
        assert {name.partition(".")[0] for name in found - own} <= allowed, f"{module}: {found}"


def imported(module: Path) -> set[str]:
    """Return the modules that a module names in its imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, module
            names.add(str(node.module))
        elif isinstance(node, ast.Name):
            assert node.id not in {"__import__", "exec", "eval"}, module
    return names
