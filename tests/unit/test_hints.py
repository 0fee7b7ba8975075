"""Every command that a text of ours names exists and parses: hints, messages, and the documents."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.cli.reference import commands

ROOT = Path(__file__).parents[2]
COMMANDS: dict[str, Any] = dict(commands())
SAMPLES = {
    "target": "shop.orders",
    "table": "shop.orders",
    "source": "shop",
    "name": "shop",
    "tag": "before",
    "path": "x",
}
NO_COMMANDS = {"cdc sample", "cdc samplesample", "cdc preflight shop", "cdc load shop", "cdc init"}
"""The version, commands put together elsewhere, names that connections to databases bear, and what is only named."""

Text = tuple[str, str]
"""Where a text is, and what it says."""


def texts() -> Iterator[Text]:
    """Yield every text in the code that is not a docstring, placeholders filled in."""
    for path in sorted((ROOT / "cdc").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        skipped = {id(part) for node in ast.walk(tree) for part in _left_out(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", "".join(map(_filled, node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value


def _left_out(node: ast.AST) -> Iterator[ast.AST]:
    """Docstrings, also those below a name; and the pieces of texts with placeholders, which come as a whole."""
    for statement in getattr(node, "body", None) or () if not isinstance(node, (ast.Lambda, ast.IfExp)) else ():
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            yield statement.value
    if isinstance(node, ast.JoinedStr):
        yield from node.values


def _filled(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    said = ast.unparse(part)
    return next((sample for word, sample in SAMPLES.items() if word in said.lower()), "sample")


def named(text: str) -> list[str]:
    """Return the commands that a text names: in backticks whole, else up to what ends a part of a sentence."""
    quoted = re.findall(r"`(cdc [^`]+)`", text)
    plain = re.findall(r"(?<![\w./\"`-])cdc [a-z][^;,()`\"\n]*", re.sub(r"`[^`]*`", "", text))
    return [one.strip().rstrip(".:?") for one in [*quoted, *plain]]


def problem(command: str) -> str:
    """Return why the command line would not take a command; nothing if it would."""
    words = shlex.split(command)
    known = max((path for path in COMMANDS if words[: len(path.split())] == path.split()), key=len, default=None)
    if known is None:
        return f"there is no command {command!r}"
    rest = words[len(known.split()) :]
    if hasattr(COMMANDS[known], "commands"):
        return f"{known} is a group, and has no {rest[0]!r}" if rest else ""
    try:
        COMMANDS[known].make_context(known, rest)
    except Exception as error:  # noqa: BLE001 - typer's own copy of click is not public
        return f"{command!r}: {getattr(error, 'message', '') or error}"
    return ""


FOUND = sorted({(where, command) for where, text in texts() for command in named(text)})
HINTS = [(where, command) for where, command in FOUND if command not in NO_COMMANDS]


@pytest.mark.parametrize(("where", "command"), HINTS, ids=[f"{where} {command}" for where, command in HINTS])
def test_commands_in_hints_and_messages_parse(where: str, command: str) -> None:
    assert not problem(command), where


def test_hints_are_found() -> None:
    """The walk would be of no use if it missed the ways in which hints are written."""
    found = {command for _, command in HINTS}
    assert len(HINTS) > 60
    for command in (
        "cdc tables reset TABLE",  # in an error
        "cdc connectors apply shop",  # in a finding, with a placeholder
        "cdc quarantine retry shop.orders",  # in a message
        "cdc rewind --table shop.orders --to tag:before",
        "cdc stream",
    ):
        assert command in found, command


@pytest.mark.parametrize(
    "text", ["`cdc fetch`", "run cdc load --all", "`cdc tables reset --now T`", "`cdc tables stop T`"]
)
def test_what_does_not_exist_is_noticed(text: str) -> None:
    (command,) = named(text)
    assert problem(command)


PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("config/*.yaml"), *ROOT.glob("sql/**/*.sql")]
)


def in_page(page: Path) -> Iterator[str]:
    """Yield the commands of a page: lines of blocks, and what stands in backticks."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if re.match(r"cdc [a-z]", line):
                yield line.partition("#")[0].strip()
    for command in re.findall(r"`(cdc [a-z][^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        before, *others = command.split(" | ")
        yield before
        for other in others:
            yield f"{before.rsplit(' ', 1)[0]} {other}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_documents_parse(page: Path) -> None:
    for command in in_page(page):
        found = problem(command)
        left_out = "Missing parameter" in found or "requires an argument" in found  # where a command is only named
        assert not found or left_out, f"{page.name}: {found}"


ERRORS = {
    "ConfigError", "PreflightError", "TerminalError", "TransientError", "IncompatibleSchema", "PositionLost",
    "UnavailableValue", "Fenced", "LeaseHeld",
}  # fmt: skip
"""Errors that end a command or stop a table; a conflict or an answer that was lost is tried again."""
WITHOUT = {"told to stop", "was told to stop", "nothing was done", "interrupted", "str(error)"}
"""What somebody has asked for needs no next step."""


@pytest.mark.parametrize("path", sorted((ROOT / "cdc").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_errors_that_reach_somebody_have_a_next_step(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS and node.args:
            said = ast.unparse(node.args[0])
            expected = any(keyword.arg == "hint" for keyword in node.keywords)
            assert expected or any(said.strip("f'\"").endswith(known) for known in WITHOUT), (
                f"{path}:{node.lineno} {said}"
            )
