"""docs/hazards.md in step with the tests: what it names exists and says so, and nothing says what it does not list."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "hazards.md"
LAST = {"P": 78, "M": 45, "O": 38, "K": 25, "S": 44, "X": 12, "T": 20}
"""The families, and the last number that each has had: an id is never given up."""
ID = re.compile(rf"\b[{''.join(LAST)}]\d{{1,2}}\b")
NOT_HELD = "not held: "


class Row(NamedTuple):
    """A hazard: its id, what goes wrong, and what is said of the tests."""

    id: str
    what: str
    held: str

    @property
    def tests(self) -> list[tuple[str, str]]:
        """Return file and name of each test that is named."""
        return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", self.held)


ROWS = [
    Row(*(cell.strip() for cell in line.strip("|").split("|")))
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| [A-Z]\d", line)
]


@cache
def named_in(file: Path) -> dict[str, set[str]]:
    """Return the tests of a file, each with the ids in its name, its docstring and that of its module."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    of_all = set(ID.findall(ast.get_docstring(tree) or ""))
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return {test.name: of_all | named_by(test.name, ast.get_docstring(test) or "") for test in tests}


def named_by(name: str, docstring: str) -> set[str]:
    """Return the ids in a test's name, which are its small words there, and in its docstring."""
    return {*ID.findall(docstring), *(word for word in name.upper().split("_") if ID.fullmatch(word))}


def claims() -> Iterator[tuple[str, str, str]]:
    """Yield file, test and id, of all tests that say to hold a hazard."""
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, ids in named_in(file).items():
            yield from ((str(file.relative_to(ROOT)), name, one) for one in sorted(ids))


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_every_hazard_is_held_by_tests_that_say_so_or_tells_why_not(row: Row) -> None:
    assert row.what.endswith("."), row
    if row.held.startswith(NOT_HELD):
        assert not row.tests
        assert len(row.held) > len(NOT_HELD) + 10, "a reason is a sentence"
        return
    assert row.tests, f"{row.id} names no test, and gives no reason"
    assert len(set(row.tests)) == len(row.tests)
    for file, name in row.tests:
        found = named_in(ROOT / file)
        assert name in found, f"{file} has no {name}"
        assert row.id in found[name], f"{row.id} is neither in the name nor in the docstring of {file}::{name}"


def test_what_is_in_backticks_and_looks_like_a_test_is_understood() -> None:
    for row in ROWS:
        assert len(row.tests) == row.held.count("::"), row


def test_every_id_is_there_once_and_no_number_is_left_out() -> None:
    ids = [row.id for row in ROWS]
    assert len(set(ids)) == len(ids)
    assert set(ids) == {f"{family}{number}" for family, last in LAST.items() for number in range(1, last + 1)}


def test_no_test_says_to_hold_what_is_not_listed_or_listed_as_not_held() -> None:
    listed = {row.id: row.held for row in ROWS}
    for file, name, one in claims():
        assert one in listed, f"{file}::{name} names {one}, which docs/hazards.md does not have"
        assert not listed[one].startswith(NOT_HELD), f"{file}::{name} names {one}, which is said not to be held"


def test_ids_are_found_in_names_and_docstrings_and_nowhere_else() -> None:
    assert named_by("test_a_row_p6_t17", "S1, M7: a row; P99 as well.") == {"P6", "T17", "S1", "M7", "P99"}
    assert named_by("test_p100_of_latency_s", "P1Y2M, a P100, an MP3 and the X-axis") == set()
