"""What the samples of a long run say: medians of its quarters, lag, and whether anything grows. Pure."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

Sample = Mapping[str, Any]

GROWTH = 1.25
"""What is flat is at most so many times in the last quarter of what it was in the second."""
SETTLED = 60.0
"""Seconds after a start of the service from which on its lag counts."""
FEWEST = 8
"""Samples of which quarters can be told."""

JUDGED: Mapping[str, Callable[[Sample], float]] = {
    "pss_mb": lambda sample: float(sample["pss_mb"]),
    "open_files": lambda sample: float(sample["open_files"]),
    "threads": lambda sample: float(sample["threads"]),
    "live_files": lambda sample: float(sample["tables"]["data_files"] + sample["tables"]["delete_files"]),
    "manifests": lambda sample: float(sample["tables"]["manifests"]),
    "own_live_files": lambda sample: float(sample["own"]["data_files"] + sample["own"]["delete_files"]),
    "warehouse_files_per_snapshot": lambda sample: sample["warehouse"]["files"] / _snapshots(sample),
    "metadata_bytes_per_snapshot": lambda sample: sum(sample[g]["metadata_bytes"] for g in GROUPS) / _snapshots(sample),
    "checkpoint_files": lambda sample: float(sample["checkpoint"]["files"]),
    "index_files": lambda sample: float(sample["index"]["files"]),
}
"""What must be flat. Snapshots are kept up to a number that a run may not reach, so what they cost is told for each."""
GROUPS = ("tables", "own")

_CLASSIC = re.compile(r"\S+ \S+ (WARN|ERROR|FATAL) ([\w.$]+):")


def quarters(values: Sequence[float]) -> list[float]:
    """Return the median of each quarter; raises ValueError for fewer than ``FEWEST`` values."""
    if len(values) < FEWEST:
        raise ValueError(f"{len(values)} samples are too few to tell quarters, {FEWEST} are needed")
    cuts = [len(values) * number // 4 for number in range(5)]
    return [median(values[low:high]) for low, high in pairwise(cuts)]


def flat(values: Sequence[float]) -> bool:
    """Return whether the last quarter's median is at most ``GROWTH`` times the second's; raises as ``quarters``."""
    _, second, _, last = quarters(values)
    return last <= GROWTH * second


def quantiles(values: Sequence[float]) -> dict[str, float] | None:
    """Return median, 99th percentile and maximum; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return {"p50": median(ordered), "p99": ordered[len(ordered) * 99 // 100], "max": ordered[-1]}


def first_commits(starts: Sequence[float], published: Sequence[float]) -> dict[float, float]:
    """Return, by start, the seconds from it to the first commit before the next start; starts without one are left out.

    All are instants of one clock: ``starts`` ascending, ``published`` in any order.
    """
    found = {}
    for start, end in zip(starts, [*starts[1:], float("inf")], strict=False):
        if after := [at - start for at in published if start < at < end]:
            found[start] = min(after)
    return found


def event_names(lines: Iterable[str]) -> Counter[str]:
    """Return the warnings and errors of a log by level and event, those of libraries by their logger; no values."""
    return Counter(name for line in lines if (name := _event_name(line)))


def summary(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return what is told of a run; raises ValueError for too few samples.

    ``quarters`` has, for each figure that must be flat, the medians of all four and whether it is; lag in seconds is
    of all tables in all samples, and without those in which the service had just been started.
    """
    judged = {name: [figure(sample) for sample in samples] for name, figure in JUDGED.items()}
    settled = [sample for sample in samples if sample["up_seconds"] >= SETTLED]
    log: Counter[str] = Counter()
    for sample in samples:
        log.update(sample["log"])
    return {
        "quarters": {
            name: {"medians": [round(one, 2) for one in quarters(values)], "flat": flat(values)}
            for name, values in judged.items()
        },
        "growing": [name for name, values in judged.items() if not flat(values)],
        "lag": quantiles(_lags(samples)),
        "lag_settled": quantiles(_lags(settled)),
        "lag_worst_table": _most_behind(settled),
        "first_commit": quantiles([one for sample in samples for one in sample["first_commits"]]),
        "events": dict(log.most_common()),
    }


def _lags(samples: Sequence[Sample]) -> list[float]:
    return [lag for sample in samples for lag in sample["lag"].values()]


def _most_behind(samples: Sequence[Sample]) -> dict[str, Any] | None:
    """Return the table of the largest median lag, which is told from the others' if one is always last."""
    tables = sorted({table for sample in samples for table in sample["lag"]})
    medians = {table: median(sample["lag"][table] for sample in samples if table in sample["lag"]) for table in tables}
    return max(({"table": t, "p50": lag} for t, lag in medians.items()), key=lambda one: one["p50"], default=None)


def _snapshots(sample: Sample) -> int:
    return max(1, sum(sample[group]["snapshots"] for group in GROUPS))


def _event_name(line: str) -> str | None:
    try:
        found = json.loads(line)
    except ValueError:
        return _library_event(line)
    if not isinstance(found, dict) or found.get("level") not in {"warning", "error", "critical"}:
        return None
    ours = str(found.get("logger", "")).startswith("cdc")
    return f"{found['level']}: {found.get('event') if ours else found.get('logger')}"


def _library_event(line: str) -> str | None:
    if line.startswith("Traceback"):
        return "error: Traceback"
    classic = _CLASSIC.match(line)
    return f"{classic[1].lower()}: {classic[2]}" if classic else None
