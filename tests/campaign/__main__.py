"""``python -m tests.campaign``: random actions on a stack of its own, compared again and again.

The exit code is 1 if something was found; then the actions so far are in a file, from which it is run again, and with
``--shrink`` a shorter list that fails too.
"""

import argparse
import json
import random
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from cdc.local.stack import LocalStack
from tests.campaign.actions import Action, actions, read, written
from tests.campaign.runner import Finding, Outcome, run
from tests.campaign.shrinking import shrink
from tests.campaign.tables import ENGINES
from tests.campaign.world import ground


def main() -> None:
    """Run a campaign, tell what came of it."""
    options = arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    chosen = (
        read(options.replay.read_text()) if options.replay else list(islice(actions(options.seed), options.actions))
    )
    print(f"seed {options.seed}, {options.db}", flush=True)
    outcome = attempt(chosen, options)
    summary = {"db": options.db, "seed": options.seed, **outcome.summary()}
    if outcome.finding:
        summary |= failed(outcome, options)
    print(json.dumps(summary, indent=2))
    if options.out:
        options.out.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    sys.exit(1 if outcome.finding else 0)


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--db", choices=ENGINES, default="postgres")
    parser.add_argument("--actions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--seconds", type=float, help="no action begins later than that")
    parser.add_argument("--replay", type=Path, help="a file of actions to run instead of those of a seed")
    parser.add_argument("--shrink", action="store_true", help="after a failure, look for a shorter list that fails")
    parser.add_argument("--shrink-seconds", type=float, default=7200, help="no run of that search begins later")
    parser.add_argument("--out", type=Path, help="where the summary is written, in JSON")
    parser.add_argument("--folder", type=Path, default=Path("build/campaign"), help="where actions and logs are left")
    return parser.parse_args()


def attempt(chosen: list[Action], options: argparse.Namespace, name: str = "campaign") -> Outcome:
    """Return what becomes of actions on a fresh stack."""
    folder = options.folder / f"{options.db}-{options.seed}-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stream.log").unlink(missing_ok=True)
    with ground(LocalStack(f"{name}-{options.db}"), options.db, folder.absolute()) as world:
        outcome = run(world, chosen, seconds=options.seconds, told=lambda line: print(line, flush=True))
        if not outcome.finding:
            try:
                world.verified()
            except Finding as finding:
                outcome.finding = str(finding)
        return outcome


def failed(outcome: Outcome, options: argparse.Namespace) -> dict[str, Any]:
    """Leave the actions in a file, say how they are run again, and look for fewer of them if that is asked for."""
    said = {"again": keep(outcome.done, options, "failed")}
    if options.shrink:
        until = time.monotonic() + options.shrink_seconds

        def fails(fewer: list[Action]) -> bool:
            return time.monotonic() < until and bool(attempt(fewer, options, "shrinking").finding)

        said["fewer"] = keep(shrink(outcome.done, fails), options, "shrunk")
    return said


def keep(done: list[Action], options: argparse.Namespace, what: str) -> str:
    """Write actions into a file; return the command that runs them again."""
    file = options.folder / f"{options.db}-{options.seed}-{what}.jsonl"
    file.write_text(written(done), encoding="utf-8")
    command = f"python -m tests.campaign --db {options.db} --seed {options.seed} --replay {file}"
    print(f"seed {options.seed}: {len(done)} actions are in {file}; run them again with\n  {command}")
    return command


if __name__ == "__main__":
    main()
