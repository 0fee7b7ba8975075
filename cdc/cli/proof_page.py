"""Proofs as one page of HTML that needs nothing else: no script, no file from elsewhere, every text escaped."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from html import escape
from pathlib import Path

from cdc.cli.proof_text import remarks, sides_of, up_to, value
from cdc.core.errors import ConfigError
from cdc.core.fingerprint import parted
from cdc.core.proof import Difference, TableProof

_HINT = "give a file in a folder that is there and may be written to"

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Proofs of equality</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid; margin-top: 2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid; padding: 0.2rem 0.6rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font-family: ui-monospace, monospace; white-space: pre-wrap; }
</style>
</head>
<body>
<h1>Proofs of equality</h1>
"""


def page(proofs: Sequence[tuple[datetime, TableProof]], *, show_values: bool) -> str:
    """Return the page of proofs with the time at which each was through; keys and values only if they are asked for."""
    equal = sum(proof.equal for _, proof in proofs)
    summary = _row("p", f"{equal:,} of {len(proofs):,} tables are equal.")
    sections = (_section(at, proof, show_values=show_values) for at, proof in proofs)
    return "".join([_HEAD, summary, *sections, "</body>\n</html>\n"])


def write_page(path: Path, text: str) -> None:
    """Write the page to a file that only the caller can read, all of it or nothing; raises ConfigError."""
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise ConfigError(f"could not write {path}: {error.strerror}", hint=_HINT) from error


def require_writable(path: Path) -> None:
    """Raise ConfigError for a page that could not be written, before hours are spent on what it is to hold."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", hint=_HINT)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"could not write {path}: {path.parent} is not there, or not writable", hint=_HINT)


def _section(at: datetime, proof: TableProof, *, show_values: bool) -> str:
    verdict = "FAILED" if proof.error else "equal" if proof.equal else "DIFFERS"
    parts = [
        "<section>\n",
        _row("h2", f"{verdict}: {proof.target}"),
        _facts(at, proof),
        _counts("Differing column", "rows", proof.columns.items()),
    ]
    if show_values:
        parts.append(_differences(proof))
    return "".join([*parts, "</section>\n"])


def _facts(at: datetime, proof: TableProof) -> str:
    facts = [("compared with", proof.source), ("proved", f"{at:%Y-%m-%d %H:%M:%S} UTC")]
    if proof.error:
        facts.append(("failed", proof.error))
    else:
        facts += [
            ("differences", proof.summary() or "none"),
            ("equal, but for these" if proof.differences else "equal", up_to(proof)),
            ("rows", f"{proof.rows:,}"),
            ("rows read", f"{proof.read:,}"),
            ("seconds", f"{proof.seconds:,.1f}"),
            *(("note", remark) for remark in remarks(proof)),
        ]
    return _table((), ([_row("th", name), _row("td", text)] for name, text in facts))


def _counts(what: str, of: str, counts: Iterable[tuple[str, int]]) -> str:
    rows = [[_row("td", name), f'<td class="number">{count:,}</td>'] for name, count in counts]
    return _table((what, of), rows) if rows else ""


def _differences(proof: TableProof) -> str:
    sides = [f"in {side}" for side in sides_of(proof)]
    rows = [cells for one in proof.differences for cells in _cells(one)]
    return _table(("difference", "key", "column", *sides), rows) if rows else ""


def _cells(one: Difference) -> Iterable[list[str]]:
    key = ", ".join("null" if part is None else part for part in parted(one.key))
    head = [_row("td", one.kind), _code(key)]
    for name in one.columns or ("",):
        values = [_code(value(row, name)) for row in (one.source, one.lake)] if name else ["<td></td>", "<td></td>"]
        yield [*head, _row("td", name), *values]


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = [f"<tr>{''.join(_row('th', title).strip() for title in titles)}</tr>\n"] if titles else []
    body = (f"<tr>{''.join(cell.strip() for cell in row)}</tr>\n" for row in rows)
    return "".join(["<table>\n", *heads, *body, "</table>\n"])


def _row(element: str, text: str) -> str:
    return f"<{element}>{_plain(text)}</{element}>\n"


def _code(text: str) -> str:
    return f"<td><code>{_plain(text)}</code></td>"


def _plain(text: str) -> str:
    """Return a text as it can stand in the page; what cannot be seen, or turns others around, is spelled out."""
    return escape("".join(one if one.isprintable() else repr(one)[1:-1] for one in text))
