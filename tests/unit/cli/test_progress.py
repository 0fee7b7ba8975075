from dataclasses import replace

import pytest

from cdc.cli.progress import LoadBars
from cdc.core.load import LoadProgress, LoadState
from cdc.core.names import TableName

READING = LoadProgress(TableName("shop", "items"), LoadState.READING)


def shown(capsys: pytest.CaptureFixture[str], *steps: LoadProgress) -> list[str]:
    with LoadBars(as_json=False) as bars:
        for step in steps:
            bars.show(step)
    return capsys.readouterr().err.splitlines()


def test_what_a_load_waited_for_was_not_told_right_behind_a_change_of_its_state(
    capsys: pytest.CaptureFixture[str],
) -> None:
    catching_up = replace(READING, state=LoadState.CATCHING_UP)
    waiting = replace(catching_up, detail="waiting for the connector to pass 0/16")
    assert shown(capsys, READING, catching_up, waiting, waiting) == [
        "shop.items: reading",
        "shop.items: catching up",
        "shop.items: catching up; waiting for the connector to pass 0/16",
    ]


def test_rows_that_are_read_are_told_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, *(replace(READING, rows=number) for number in range(1_000))) == ["shop.items: reading"]
