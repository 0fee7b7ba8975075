"""``python -m tests.bench.converter``: Avro converters of Connect by turns, in records per second of one core.

A record is a key and a Debezium envelope of eight columns, before, after and source block. What is counted is the time
of the processor, so that other work on the machine changes little. The registry is that of a stack of its own.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from cdc.local.stack import LocalStack
from tests.jvm import class_path, command


def main() -> None:
    """Start a stack, measure, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=500_000, help="of each repetition")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    stack = LocalStack(f"bench-{os.getpid()}")
    try:
        registry = stack.up(["postgres"]).registry
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(class_path(Path(folder)), registry, options.records, options.repetitions)
    finally:
        stack.down(wipe=True)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


def measure(classes: str, registry: str, records: int, repetitions: int) -> dict[str, object]:
    """Return the figures of each converter, in records per second of one core."""
    native = registry.replace("/apis/ccompat/v7", "/apis/registry/v2")
    run = command(classes, "ConverterBench", registry, native, str(records), str(repetitions))
    result = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, list[int]] = defaultdict(list)
    for name, *numbers in map(str.split, result.stdout.splitlines()):
        found[name] += map(int, numbers)
    own, apicurio = found.pop("bytes")
    assert own == apicurio, "the converters write different messages"
    medians = {name: statistics.median(numbers) for name, numbers in found.items()}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "records": records,
        "bytes_of_a_record": own,
        "records_per_second_of_a_core": found,
        "median": medians,
        "times": round(medians["compiled"] / medians["apicurio"], 2),
    }


if __name__ == "__main__":
    main()
