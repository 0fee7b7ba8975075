"""The first configuration of a source, as text with comments: what is captured, and what is not and why."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import yaml

from cdc.config.targets import default_target
from cdc.core.names import TableName
from cdc.core.proposal import Proposed, Unfit
from cdc.core.setup import comment

Section = Mapping[str, object]


def render_config(
    head: str, sections: Mapping[str, Section], source: Section, tables: Sequence[Proposed | Unfit], excluded: str
) -> str:
    """Return the file: the sections around, the source without its tables, and the tables."""
    captured = [one for one in tables if isinstance(one, Proposed)]
    unfit = [one for one in tables if isinstance(one, Unfit)]
    lines = [comment(head, "#"), ""]
    for name, section in sections.items():
        lines += [f"{name}:", *_fields(section, "  "), ""]
    lines += ["sources:", *_first_dashed(_fields(source, "    "))]
    if excluded:
        lines += [
            "    connector:",
            "      # generated columns, which the log does not hold",
            f"      column.exclude.list: {_scalar(excluded)}",
        ]
    targets = _targets(source, [one.name for one in captured])
    lines += ["    tables:", *(line for one in captured for line in _table(one, targets.get(one.name)))]
    if unfit:
        lines += ["      # Not captured:", *(line for one in unfit for line in _unfit(one))]
    return "\n".join(lines) + "\n"


def _fields(section: Section, indent: str) -> list[str]:
    return [f"{indent}{key}: {_scalar(value)}" for key, value in section.items()]


def _first_dashed(lines: list[str]) -> list[str]:
    return [re.sub("^    ", "  - ", lines[0]), *lines[1:]]


def _table(one: Proposed, target: TableName | None) -> Iterator[str]:
    yield f"      - source: {_scalar(str(one.name))}"
    yield f"        key: [{', '.join(map(_item, one.key.columns))}]"
    if target:
        yield f"        target: {_scalar(str(target))}"
    if one.remarks:
        yield f"        {comment('in the lake: ' + ', '.join(one.remarks), '#')}"


def _unfit(one: Unfit) -> Iterator[str]:
    yield f"      {comment(f'- source: {_scalar(str(one.name))}', '#')}"
    yield f"      {comment(f'{one.finding.name}: {one.finding.said}', '#')}"


def _targets(source: Section, names: Iterable[TableName]) -> dict[TableName, TableName]:
    """Return the targets of those tables whose default is another one's, as names of the lake are."""
    ordinary = "public" if source["type"] == "postgres" else str(source["database"])
    found: dict[TableName, TableName] = {}
    taken: set[TableName] = set()
    for name in sorted(names, key=lambda name: name.namespace != ordinary):  # whose names people know
        default = target = default_target(str(source["name"]), name, ordinary)
        number = 1
        while target in taken:
            number += 1
            target = TableName(default.namespace, f"{default.table}_{number}")
        taken.add(target)
        if target != default:
            found[name] = target
    return found


def _scalar(value: object) -> str:
    """Return a value as YAML in one line, quoted where it must be."""
    return _odd(value) or _dumped({"k": value}).removeprefix("k: ")


def _item(value: str) -> str:
    """Return a text as an item of a list in brackets, where more has to be quoted."""
    return _odd(value) or _dumped([value]).removeprefix("[").removesuffix("]")


def _odd(value: object) -> str:
    """Return a text that would not stay in one line with its characters escaped."""
    odd = isinstance(value, str) and not value.isprintable()
    return str(yaml.safe_dump(value, default_style='"', width=10**9)).strip() if odd else ""


def _dumped(value: object) -> str:
    flow = isinstance(value, list)
    return str(yaml.safe_dump(value, default_flow_style=flow, width=10**9, allow_unicode=True)).strip()
