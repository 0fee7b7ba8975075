"""SQL for the administrator of a source, filled in from the templates in sql/sources."""

from collections.abc import Iterable, Mapping, Sequence
from string import Template

PASSWORD = "${password}"  # noqa: S105 - a placeholder
"""The value that stays open: whoever runs the statements gives it."""


def filled(template: str, values: Mapping[str, str], each: Sequence[Mapping[str, str]] = ({},)) -> list[str]:
    """Return the paragraphs of a template but the first, which tells how it is filled in.

    A statement that names a value of ``each`` is there once for each of these; the password stays as it is.
    """
    paragraphs = template.strip().split("\n\n")[1:] if template.startswith("--") else template.strip().split("\n\n")
    return ["\n".join(_lines(paragraph.splitlines(), values, each)) for paragraph in paragraphs]


def _lines(lines: Iterable[str], values: Mapping[str, str], each: Sequence[Mapping[str, str]]) -> list[str]:
    found: dict[str, None] = {}  # a schema of two owners is named once
    for line in lines:
        for one in each:
            found[Template(line).substitute({"password": PASSWORD, **values, **one})] = None
    return list(found)


def comment(text: str, mark: str = "--") -> str:
    """Return a comment of one line, whatever is in the text."""
    return f"{mark} {' '.join(''.join(c if c.isprintable() else ' ' for c in text).split())}"
