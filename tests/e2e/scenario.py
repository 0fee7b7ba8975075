"""What is done to each database, the same for both: snapshot, operations one by one, a random workload, kills."""

import os
import random
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tests.e2e.service import Service, has_line
from tests.e2e.workload import RandomWorkload

CHANGES = 20_000
KILLS = int(os.environ.get("CDC_TEST_KILLS", "5"))  # noqa: TID251 - how long a test goes on
SEED = int(os.environ.get("CDC_TEST_SEED") or random.SystemRandom().randrange(10**6))  # noqa: TID251


@dataclass
class Scenario:
    """One source, its service, and the workload against it."""

    service: Service
    connect: Callable[[], Any]
    workload: RandomWorkload

    def apply(self, *statements: str) -> None:
        """Run statements in one transaction."""
        with closing(self.connect()) as connection:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            connection.commit()

    def run_workload(self, changes: int = CHANGES) -> None:
        with closing(self.connect()) as connection:
            done = self.workload.run(connection, changes)
        print(f"seed {SEED}: {done} changes")

    def run_workload_with_kills(self, **overrides: str) -> None:
        """Kill the service again and again at random moments while the workload runs.

        From the first kill on it runs with other settings.
        """
        moments = random.Random(SEED)
        ended = threading.Event()
        failures: list[BaseException] = []

        def work() -> None:
            try:
                with closing(self.connect()) as connection:
                    self.workload.run(connection, CHANGES, between=lambda: ended.wait(0.1))
            except BaseException as error:  # noqa: BLE001 - shown by the test
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            for number in range(KILLS):
                at_work = number % 2 == 1  # every other kill hits a service that is merging, not one that starts
                if at_work:
                    self.service.await_query(90)
                seconds = moments.uniform(0.5, 12)
                print(
                    f"seed {SEED}: kill {number + 1}, {seconds:.2f} s after {'its query' if at_work else 'its start'}"
                )
                self.service.kill_after(seconds)
                self.service.start(**overrides)
        finally:
            ended.set()  # what is left of the workload goes without pauses
            thread.join(timeout=120)
        assert not failures, failures
        assert not thread.is_alive()

    def run_workload_with_kills_by_spark_alone(self) -> None:
        """The same where nothing is done at the driver; compared, then the service goes on as it is configured."""
        self.run_workload_with_kills(CDC_STREAM__DRIVER_MESSAGES="0")
        self.service.await_equal()
        assert has_line(self.service.log, "batch applied", "way='merge: a large batch'")
        assert self.service.stop() == 0
        self.service.start()
        self.service.await_query(90)
