"""What the demo shows, in a terminal and elsewhere."""

import io
from datetime import UTC, datetime

from rich.console import Console

from cdc.local.demo.view import Line, View

LINES = [
    Line("shop.orders", 1234, 5000, datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC), 1.25),
    Line("shop.sessions", 0, 0, None, None),
]


def shown(*, terminal: bool) -> str:
    output = io.StringIO()
    view = View(Console(file=output, force_terminal=terminal, width=100, soft_wrap=True))
    view.show(LINES, 42)
    view.show(LINES, 42)
    view.close()
    return output.getvalue()


def test_terminal_shows_a_table() -> None:
    text = shown(terminal=True)
    for part in ("shop.orders", "1,234", "5,000", "1.2 s", "07:08:09", "42 changes made"):
        assert part in text


def test_elsewhere_a_line_now_and_then() -> None:
    text = shown(terminal=False)
    assert text.count("\n") == 1
    assert "shop.orders 1234, shop.sessions 0" in text
    assert "last commit 07:08:09" in text
