"""Loads as a command tells of them."""

from typing import Any

from cdc.cli.load import tell
from cdc.core.errors import LeaseHeld, PreflightError
from cdc.core.names import TableName


def test_what_all_tables_of_a_source_share_is_said_once_and_each_tables_own_with_its_name(capsys: Any) -> None:
    held = LeaseHeld("source 'shop' is being loaded already", hint="wait")
    own = PreflightError("no key", hint="cdc tables reset TABLE")
    tell({TableName("lake", "a"): held, TableName("lake", "b"): own, TableName("lake", "c"): held})
    assert capsys.readouterr().err == (
        "error: source 'shop' is being loaded already\nhint: wait\n"
        "error: lake.b: no key\nhint: cdc tables reset lake.b\n"
    )
