"""What docs/semantics.md says of the tests that hold its promises."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8").partition("## How it is held")[2]
ROWS = [line.split("|")[1:3] for line in TABLE.splitlines() if line.startswith("| ") and "`" in line]


@pytest.mark.parametrize(("promise", "tests"), ROWS, ids=[row[0].strip() for row in ROWS])
def test_every_promise_names_tests_that_exist(promise: str, tests: str) -> None:
    assert promise.strip()
    file = ""
    for path, name in re.findall(r"`([\w/]*(?:\.py)?)(?:::(\w+))?`", tests):
        file = path or file
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in text, f"{file} has no {name}"


def test_all_promises_have_a_row() -> None:
    assert len(ROWS) >= 12
