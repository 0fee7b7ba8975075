"""What became of proofs, as text for people and as JSON for machines."""

from typing import Any

from cdc.core.fingerprint import parted
from cdc.core.proof import Difference, TableProof

SHOWN = 20
"""Differences that are shown of each table; JSON and the page have all that were named."""


def lines(proof: TableProof, *, show_values: bool) -> list[str]:
    """Return what became of a proof, for people."""
    found = [_verdict(proof)]
    if proof.error:
        return found
    if show_values:
        sides = sides_of(proof)
        found += [f"        {_shown(one, sides)}" for one in proof.differences[:SHOWN]]
        if len(proof.differences) > SHOWN:
            found.append(f"        and {len(proof.differences) - SHOWN:,} more: --json names them")
    return [*found, *(f"        {remark}" for remark in remarks(proof))]


def _verdict(proof: TableProof) -> str:
    name = f"{proof.source} -> {proof.target}"
    if proof.error:
        return f"FAILED  {name}: {proof.error}"
    if not proof.equal:
        what = proof.summary() or "columns that could not be compared"
        columns = ", ".join(f"{column} {count:,}" for column, count in sorted(proof.columns.items()))
        return f"DIFFERS {name}: {what}, of {proof.rows:,} rows" + (f" ({columns})" if columns else "")
    return f"equal   {name}: {proof.rows:,} rows, {up_to(proof)}"


def up_to(proof: TableProof) -> str:
    """Return of what a proof is."""
    return f"at {proof.position}" if proof.other else f"every change up to {proof.position}"


def sides_of(proof: TableProof) -> tuple[str, str]:
    """Return what the two sides are called whose values are shown."""
    return (proof.other, proof.target) if proof.other else ("the source", "the lake")


def remarks(proof: TableProof) -> list[str]:
    """Return what is to be said of a proof that came to its end, beside its verdict."""
    told: list[tuple[object, str]] = [
        (proof.other and not proof.equal, f"compared at {proof.position}"),
        (proof.repaired, f"read again, and right now: {proof.repaired:,}"),
        (proof.where, f"of the source's rows only those that were loaded, where {proof.where}"),
        (proof.unsettled, f"not settled, for they changed whenever they were looked at: {proof.unsettled:,}"),
        (proof.by_value, f"compared by value: {', '.join(proof.by_value)}"),
        (proof.apart, f"not compared, for their types have no form in common: {', '.join(proof.apart)}"),
        (proof.one_sided, f"not compared, for one table has not got them: {', '.join(proof.one_sided)}"),
        (proof.held, f"what differs may be what did not come: {proof.held}"),
    ]
    return [remark for is_told, remark in told if is_told]


def _shown(one: Difference, sides: tuple[str, str]) -> str:
    key = ", ".join("null" if part is None else part for part in parted(one.key))
    pairs = [f"{n}: {value(one.source, n)} in {sides[0]}, {value(one.lake, n)} in {sides[1]}" for n in one.columns]
    return f"{one.kind} {key}" + (f": {'; '.join(pairs)}" if pairs else "")


def value(row: Any, name: str) -> str:  # noqa: ANN401 - texts by column, or no row
    """Return the value of a column as it is shown: what cannot be seen in it is spelled out."""
    text = (row or {}).get(name)
    return "null" if text is None else repr(text)


def proof_json(proof: TableProof, *, show_values: bool) -> dict[str, Any]:
    """Return a proof for machines; keys and values of rows are there if they are asked for.

    Values of ``source`` are those of the other table where two tables of the lake were compared.
    """
    differences: list[dict[str, Any]] = [{"kind": one.kind, "columns": list(one.columns)} for one in proof.differences]
    if show_values:
        for found, one in zip(differences, proof.differences, strict=True):
            found |= {"key": list(parted(one.key)), "source": one.source, "lake": one.lake}
    told = {"columns": proof.columns, "by_value": list(proof.by_value), "where": proof.where}
    if proof.other:
        told |= {"one_sided": list(proof.one_sided), "apart": list(proof.apart), "held": proof.held}
    return {**proof.figures(), **told, "differences": differences}
