"""Whatever is wrong, nobody sees a traceback: a cause, a next step, the documented exit code, and no secret."""

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from cdc.bootstrap import operations
from cdc.cli.app import main
from tests.integration import loopback
from tests.integration.bad_inputs import (
    ARGUMENTS,
    AROUND,
    FIELDS,
    FILES,
    POINTS,
    SECRET,
    SECRETS,
    TOGETHER,
    Bad,
    text_of,
)
from tests.sql_catalog import sql_catalog
from tests.unit.core.histories import batch, topic

SECONDS = 20.0
"""The longest that a command may take to find that it cannot go on."""

Run = Callable[[Bad], str]
CASES = [*FILES, *FIELDS, *TOGETHER, *SECRETS, *ARGUMENTS]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in this process and returns all that it prints."""

    def invoke(bad: Bad) -> str:
        for name in [name for name in os.environ if name.startswith("CDC_")]:  # noqa: TID251
            monkeypatch.delenv(name)
        monkeypatch.setenv("BAD_INPUTS_PASSWORD", SECRET)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.chdir(tmp_path)
        for name, value in bad.variables.items():
            monkeypatch.setenv(name, value)
        text = text_of(bad.file, str(tmp_path))
        if text is not None:
            (tmp_path / "cdc.yaml").write_bytes(text)
        places = {"CONFIG": str(tmp_path / "cdc.yaml"), "FOLDER": str(tmp_path)}
        began = time.monotonic()
        with pytest.raises(SystemExit) as ended:
            main([places.get(word, word) for word in bad.words.split()])
        took = time.monotonic() - began
        printed = "".join(capfd.readouterr())
        assert ended.value.code == bad.code, printed
        assert took < SECONDS, printed
        return printed

    return invoke


@pytest.mark.parametrize("bad", CASES, ids=[bad.name for bad in CASES])
def test_bad_input_is_told_with_cause_and_next_step(run: Run, bad: Bad) -> None:
    """M40, S43, T7."""
    printed = run(bad)
    assert "Traceback" not in printed
    assert SECRET not in printed
    assert re.search(bad.says, " ".join(printed.split())), printed
    assert re.search(bad.hint, printed), printed


ANSWERS = {
    "nobody": loopback.close,
    "close": loopback.close,
    "silent": loopback.keep_silent,
    "postgres": loopback.refuse_as_postgres,
    "mysql": loopback.refuse_as_mysql,
    "401": loopback.http("401 Unauthorized", '{"message": "no"}'),
    "404": loopback.http("404 Not Found", '{"error_code": 404, "message": "none"}'),
    "500": loopback.http("500 Internal Server Error", "it broke", "text/plain"),
    "html": loopback.http("200 OK", "<html></html>", "text/html"),
    "broken": loopback.close,
}


@pytest.mark.parametrize(("server", "bad"), AROUND, ids=[bad.name for _, bad in AROUND])
def test_surroundings_that_are_wrong_are_told_with_cause_and_next_step(
    run: Run, tmp_path: Path, server: str, bad: Bad
) -> None:
    if server == "broken":
        metadata = tmp_path / "warehouse" / "shop" / "a" / "metadata"
        metadata.mkdir(parents=True)
        (metadata / "version-hint.text").write_text("1")
        (metadata / "v1.metadata.json").write_text('{"format-version": ')
    with loopback.serving(ANSWERS[server]) as port:
        test_bad_input_is_told_with_cause_and_next_step(run, replace(bad, file=at_port(bad.file, str(tmp_path), port)))


@pytest.mark.parametrize("bad", POINTS, ids=[bad.name for bad in POINTS])
def test_points_that_are_none_are_told_with_cause_and_next_step(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: Bad
) -> None:
    catalog = sql_catalog(tmp_path)
    catalog.create_namespace("shop")
    table = catalog.create_table("shop.a", pa.schema([("id", pa.int32())]))
    for number in (1, 3, 6):
        summary = {name: value for name, value in batch(number).items() if name != "operation"}
        table.append(pa.table({"id": pa.array([number], pa.int32())}), snapshot_properties=summary)
    monkeypatch.setattr(operations, "open_catalog", lambda _: catalog)
    monkeypatch.setattr(operations.TopicStates, "state", lambda *_: topic((0, 9)))
    test_bad_input_is_told_with_cause_and_next_step(run, bad)


def at_port(file: object, folder: str, port: int) -> bytes:
    """Return the configuration with the server's port in it, as a number where it stands alone."""
    text = text_of(file, folder)  # type: ignore[arg-type]
    assert text is not None
    return text.replace(b"PORT", str(port).encode())


def test_there_are_enough_of_them_and_each_has_its_own_name() -> None:
    names = [bad.name for bad in CASES] + [bad.name for _, bad in AROUND]
    names += [bad.name for bad in POINTS]
    assert len(set(names)) == len(names) >= 150
