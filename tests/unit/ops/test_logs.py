import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from cdc.config.values import Secret
from cdc.ops.logs import bound, logger, set_up_logs


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logs("json", "INFO", stream)
    yield stream
    structlog.reset_defaults()
    threading.excepthook = threading.__excepthook__
    root.handlers[:] = handlers
    root.setLevel(level)


def last(out: io.StringIO) -> dict[str, Any]:
    return dict(json.loads(out.getvalue().splitlines()[-1]))


def test_lines_carry_what_is_bound(out: io.StringIO) -> None:
    with bound(pipeline="shop", batch=7, table=None), bound(table="shop.orders"):
        logger("cdc.test").info("published", rows=3)
    line = last(out)
    assert line["event"] == "published"
    assert (line["pipeline"], line["batch"], line["table"], line["rows"]) == ("shop", 7, "shop.orders", 3)
    assert line["level"] == "info"
    assert line["at"].endswith("Z")
    logger("cdc.test").info("next")
    assert "pipeline" not in last(out)


def test_secrets_are_taken_out_by_type_by_name_and_in_addresses(out: io.StringIO) -> None:
    secret = Secret("${env:A}", SecretStr("hunter-2"))
    logger("cdc.test").info(
        "connected",
        source=secret,
        wrapped=SecretStr("hunter-2"),
        database_password="hunter-2",
        nested={"token": "hunter-2", "list": [{"credential": "hunter-2"}, secret]},
        address="postgresql://cdc:hunter-2@host/db",
    )
    assert "hunter" not in out.getvalue()
    assert last(out)["address"] == "postgresql://cdc:***@host/db"


def test_the_fencing_token_is_a_number_and_shown(out: io.StringIO) -> None:
    logger("cdc.test").info("took the lease", token=12)
    assert last(out)["token"] == 12


def test_lines_of_libraries_have_the_same_form(out: io.StringIO) -> None:
    with bound(pipeline="shop"):
        logging.getLogger("library").warning("slow %s", "thing")
    line = last(out)
    assert (line["event"], line["logger"], line["pipeline"]) == ("slow thing", "library", "shop")


def test_tracebacks_are_part_of_the_line(out: io.StringIO) -> None:
    try:
        int("broken")
    except ValueError:
        logger("cdc.test").exception("failed")
    assert "ValueError: invalid literal" in last(out)["exception"]


def test_the_level_holds_and_console_is_readable() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers = root.handlers[:]
    set_up_logs("console", "WARNING", stream)
    logger("cdc.test").info("not shown")
    logger("cdc.test").warning("shown", table="t")
    structlog.reset_defaults()
    root.handlers[:] = handlers
    assert "not shown" not in stream.getvalue()
    assert "table=t" in stream.getvalue()


def test_a_mistake_in_a_thread_was_bare_text(out: io.StringIO) -> None:
    def mistake() -> None:
        raise KeyError("ours")

    thread = threading.Thread(target=mistake, name="watch")
    thread.start()
    thread.join()
    line = last(out)
    assert (line["event"], line["level"], line["thread"]) == ("thread ended", "error", "watch")
    assert "KeyError" in line["exception"]
