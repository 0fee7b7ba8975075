"""What ``cdc init`` writes, and what it says at its end: what was found, and the commands that come next."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cdc.bootstrap.init import Found
from cdc.cli.options import DEFAULT_CONFIG
from cdc.core.errors import ConfigError
from cdc.core.preflight import Finding
from cdc.core.proposal import Proposed


@dataclass(frozen=True)
class Files:
    """What is written."""

    config: Path
    sql: Path

    def require_new(self) -> None:
        """Raise ConfigError if one of them is there."""
        for path in (self.config, self.sql):
            if path.exists():
                raise ConfigError(f'"{path}" is there already', hint="--output names another file, --force overwrites")

    def write(self, config: str, sql: str) -> None:
        """Write both, their folders too; raises ConfigError where that is not possible."""
        for path, text in ((self.config, config), (self.sql, sql)):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            except OSError as error:
                raise ConfigError(
                    f'could not write "{path}": {error.strerror}', hint="--output and --sql-folder"
                ) from None


@dataclass(frozen=True)
class Steps:
    """What was found, where it is written, and which addresses nobody has chosen."""

    found: Found
    files: Files
    examples: Sequence[str] = ()


def document_of(steps: Steps, *, written: bool) -> dict[str, Any]:
    """Return what was found and the next commands for machines."""
    found, files = steps.found, steps.files
    return {
        "server": found.server.version,
        "source": found.wanted.name,
        "captured": [_captured(one) for one in found.captured],
        "unfit": [{"table": str(one.name), **_finding(one.finding)} for one in found.unfit],
        "findings": [_finding(finding) for finding in found.server.findings],
        "files": [str(files.config), str(files.sql)] if written else [],
        "remarks": list(_remarks(steps)),
        "next": _next(found, files),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {"name": finding.name, "what": finding.what, "hint": finding.hint, "fatal": finding.fatal}


def _captured(one: Proposed) -> dict[str, Any]:
    return {
        "table": str(one.name),
        "key": one.key.columns,
        "left_out": one.left_out,
        "mend": [finding.what for finding in one.mend],
        "remarks": one.remarks,
    }


def told(steps: Steps, texts: Sequence[str]) -> Iterator[str]:
    """Yield what was found, what is not captured and why, and the next commands."""
    found, files, url = steps.found, steps.files, steps.found.wanted.url
    place = f"{found.server.version} at {url.host}:{url.port}, database {url.database}"
    yield f"{place}: {len(found.captured)} of {len(found.tables)} tables are captured"
    for one in found.captured:
        yield f"  {one.name}: key {', '.join(one.key.columns)}" + "".join(f", without {c}" for c in one.left_out)
    if found.unfit:
        yield f"{len(found.unfit)} not captured:"
    for unfit in found.unfit:
        yield f"  {unfit.finding.name}: {unfit.finding.said}"
    for finding in found.server.findings:
        yield f"{'wrong' if finding.fatal else 'remark'}: {finding.said}"
    yield from (f"remark: {remark}" for remark in _remarks(steps))
    for path, text in zip((files.config, files.sql), texts, strict=False):
        yield f"--- {path}, not written\n{text}"
    if not texts:
        yield f"wrote {files.config} and {files.sql}"
    yield "next:"
    yield from (f"  {line}" for line in _next(found, files))


def _remarks(steps: Steps) -> Iterator[str]:
    wanted = steps.found.wanted
    if steps.found.server.role:
        yield f"role {wanted.role} is there already; its password has to be the one in {wanted.password}"
    if steps.examples:
        yield f"{', '.join(steps.examples)} are examples: correct them in {steps.files.config}, or see --local"


def _next(found: Found, files: Files) -> list[str]:
    wanted = found.wanted
    config = "" if files.config == DEFAULT_CONFIG else f" --config {shlex.quote(str(files.config))}"
    kind, name = wanted.password[2:-1].split(":", 1)
    choose = [f"export {name}=..  # the role's password; Kafka Connect's worker needs it too"] if kind == "env" else []
    commands = ["doctor", "connectors apply", "stream", "status --watch", "verify"]
    client = _psql(found, files) if wanted.url.type == "postgres" else _mysql(found, files, kind, name)
    return [*choose, client, *(f"cdc {command}{config}" for command in commands)]


def _psql(found: Found, files: Files) -> str:
    url = found.wanted.url
    host = f"[{url.host}]" if ":" in url.host else url.host
    address = f"postgres://{quote(url.user, '')}@{host}:{url.port}/{quote(url.database, '')}"
    tls = f"?sslmode={url.tls}" if url.tls else ""
    return f"psql {shlex.quote(address + tls)} --file {shlex.quote(str(files.sql))}"


def _mysql(found: Found, files: Files, kind: str, name: str) -> str:
    """Return the command; the shell's own echo puts the password before the statements, so that no process shows it."""
    url = found.wanted.url
    password = f"${name}" if kind == "env" else f"$(cat {shlex.quote(name)})"
    client = f"mysql --host {shlex.quote(url.host)} --port {url.port} --user {shlex.quote(url.user)}"
    client += f" --ssl-mode={url.tls.upper()} --password" if url.tls else " --password"
    statements = f"""{{ echo "SET @password = '{password}';"; cat {shlex.quote(str(files.sql))}; }}"""
    return f"{statements} | {client}"
