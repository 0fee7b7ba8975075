"""``python -m tests.bench.soak``: hours of changes and kills on a stack of its own, looked at every half minute.

The configuration is the default one, maintenance included. The service is killed with SIGKILL again and again, and
started at once, as a supervisor does. Afterwards every column of every row of all tables is compared, and memory and
files of the last quarter with those of the second. The exit code is 1 if rows differ, if anything grows, if the
service ended by itself, or if it was killed again before it had committed anything.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdc.core.names import TableName
from cdc.lake.pyiceberg_catalog import SqlReader, open_catalog
from cdc.local.stack import LocalStack
from tests.bench.churn import Churning
from tests.bench.fresh import default, on_a_stack, prepare
from tests.bench.sampler import Sampler
from tests.bench.samples import FEWEST, summary
from tests.e2e.databases import Database
from tests.e2e.service import Service
from tests.e2e.shop import Shop, shop_of

SAMPLES_EVERY = 30.0
EQUAL_WITHIN = 900.0
"""Seconds that the service may need for what it is behind when the changes end."""


def main() -> None:
    """Run it, print the summary."""
    figures = on_a_stack("bench-soak", measure, arguments())
    wrong = ("growing", "ended_by_itself", "starts_without_commit")
    sys.exit(0 if figures["contents"] == "equal" and not any(figures[name] for name in wrong) else 1)


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--engine", choices=["postgres", "mysql"], default="postgres")
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--rate", type=float, default=2000, help="changes a second, over all tables")
    parser.add_argument("--tables", type=int, default=20)
    parser.add_argument("--rows", type=int, default=20_000, help="rows of a table")
    parser.add_argument("--kill-every", type=float, default=300, help="seconds; 0 for never, which shows slow leaks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="where the service's log is written")
    parser.add_argument("--out", type=Path, help="where the samples are written as they come, a JSON object a line")
    return parser.parse_args()


def measure(stack: LocalStack, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one run."""
    database = Database(stack.addresses(), options.engine, "soak", 95)
    tables = [f"t{number:03}" for number in range(options.tables)]
    with shop_of(Shop, stack, folder, database, tables, _as_a_user_has_it) as shop:
        for old in filter(None, (options.log, options.out)):
            old.unlink(missing_ok=True)
        shop.service.log = options.log or shop.service.log
        prepare(shop, tables, options)
        sampler = sampler_of(stack, shop, tables)
        soak = Soak(shop.service, sampler, options)
        with Churning(database, tables, options, options.minutes * 60) as workload:
            samples = list(soak.samples(workload))
        began = time.monotonic()
        contents = compare(shop.service)
        return {
            "changes": workload.made,
            "rate_made": round(workload.made / (options.minutes * 60), 1),
            "kills": soak.kills,
            "starts_without_commit": sampler.unanswered,
            "ended_by_itself": soak.ended_by_itself,
            "contents": contents,
            "equal_after": round(time.monotonic() - began, 1),
            **summary(samples),
        }


def _as_a_user_has_it(document: dict[str, Any]) -> None:
    default(document, None)
    document["operations"]["log_format"] = "json"


def sampler_of(stack: LocalStack, shop: Shop, tables: list[str]) -> Sampler:
    """Return what takes samples of a service that has loaded its tables; the workload begins now."""
    config, at = shop.service.config, stack.addresses()
    catalog = open_catalog(config.catalog)
    assert isinstance(catalog, SqlReader)
    folders = {"warehouse": at.warehouse, "checkpoint": at.checkpoint}
    if config.stream.index_folder:
        folders["index"] = config.stream.index_folder
    targets = [TableName(shop.name, table) for table in tables]
    own = [TableName(*name) for name in catalog.list_tables(config.metadata_namespace)]
    now = time.time()
    return Sampler(shop.service, catalog, folders, targets, own, now, started=now)


@dataclass
class Every:
    """Something that is due again and again; never, if ``seconds`` is zero."""

    seconds: float

    def __post_init__(self) -> None:
        self._next = time.monotonic() + self.seconds

    def due(self) -> bool:
        """Return whether it is due, which it then is no more."""
        if not self.seconds or time.monotonic() < self._next:
            return False
        self._next += self.seconds
        return True


class Soak:
    """The supervisor and the killer of the service, who takes samples meanwhile."""

    def __init__(self, service: Service, sampler: Sampler, options: argparse.Namespace) -> None:
        self._service, self._sampler, self._options = service, sampler, options
        self.kills = 0
        self.ended_by_itself: Counter[str] = Counter()

    def samples(self, workload: Churning) -> Iterator[dict[str, Any]]:
        """Yield samples as they come, until the workload ends."""
        seconds = min(SAMPLES_EVERY, self._options.minutes * 60 / (FEWEST + 2))
        sample, kill = Every(seconds), Every(self._options.kill_every)
        while workload.running():
            self._supervise()
            if sample.due():  # before a kill that is due, too: behind it there is no service to look at yet
                yield self._written(self._sampler.sample(workload.made))
            if kill.due():
                self.kills += 1
                self._again()
            time.sleep(0.2)

    def _supervise(self) -> None:
        """Start the service again if it has ended, which it should not."""
        if (code := self._service.ended()) is not None:
            self.ended_by_itself[f"code {code}"] += 1
            self._again()

    def _again(self) -> None:
        self._sampler.use.end(self._service.pid)
        self._service.kill()
        self._service.start()
        self._sampler.start()

    def _written(self, sample: dict[str, Any]) -> dict[str, Any]:
        if self._options.out:
            with self._options.out.open("a", encoding="utf-8") as out:
                out.write(json.dumps(sample) + "\n")
        return sample


def compare(service: Service) -> str:
    """Return whether every column of every row is equal, or becomes so in time."""
    try:
        service.await_equal(EQUAL_WITHIN)
    except AssertionError as error:
        print(str(error)[-4000:], file=sys.stderr)
        return "DIFFERENT"
    return "equal"


if __name__ == "__main__":
    main()
