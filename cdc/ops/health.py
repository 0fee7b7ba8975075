"""Health of the service: checks by name, live (the process works) and ready (its dependencies answer)."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field

Check = Callable[[], None]
"""Return if all is well; raise with the reason otherwise. Must be safe to call from another thread."""


@dataclass(frozen=True)
class Report:
    """Results of checks: the reason why a check failed, or nothing."""

    results: Mapping[str, str] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether no check failed."""
        return not any(self.results.values())

    def lines(self) -> str:
        """Return one line per check."""
        return "".join(f"{name}: {reason or 'ok'}\n" for name, reason in self.results.items())


class Health:
    """The checks of a process; each result is kept ``keep`` seconds, so that probes cost dependencies little."""

    def __init__(
        self, *, timeout: float = 5.0, keep: float = 2.0, on_result: Callable[[str, bool], None] | None = None
    ) -> None:
        self._timeout, self._keep, self._on_result = timeout, keep, on_result
        self._live: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}
        self._running: dict[Check, Future[None]] = {}
        self._kept: tuple[float, Report] | None = None
        self._lock = threading.Lock()

    def add_live(self, name: str, check: Check) -> None:
        """Add a check of the process itself."""
        self._live[name] = check

    def add_ready(self, name: str, check: Check) -> None:
        """Add a check of a dependency."""
        self._ready[name] = check

    def live(self) -> Report:
        """Return the state of the process; always includes ``process``."""
        return Report({"process": "", **{name: _reason(check) for name, check in self._live.items()}})

    def ready(self) -> Report:
        """Return the state of each dependency, asked side by side; one that does not answer in time has failed."""
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > self._keep:
                self._kept = (time.monotonic(), self._ask())
            return self._kept[1]

    def _ask(self) -> Report:
        futures = {name: self._started(check) for name, check in self._ready.items()}
        wait(futures.values(), timeout=self._timeout)
        report = Report({name: self._outcome(future) for name, future in futures.items()})
        for name, reason in report.results.items():
            if self._on_result:
                self._on_result(name, not reason)
        return report

    def _started(self, check: Check) -> Future[None]:
        """Return the check under way; one that hangs is not started again, or threads would pile up."""
        future = self._running.get(check)
        if future is None or future.done():
            future = self._running[check] = Future()
            # A daemon, not a pool's thread: a check that hangs must not keep the process from ending.
            threading.Thread(target=_run, args=(check, future), name="health", daemon=True).start()
        return future

    def _outcome(self, future: Future[None]) -> str:
        if not future.done():
            return f"no answer within {self._timeout:g} s"
        error = future.exception()
        return "" if error is None else _sentence(error)


def _run(check: Check, future: Future[None]) -> None:
    try:
        check()
    except Exception as error:  # noqa: BLE001 - whatever a check raises is its answer
        future.set_exception(error)
    else:
        future.set_result(None)


def _reason(check: Check) -> str:
    try:
        check()
    except Exception as error:  # noqa: BLE001 - whatever a check raises is its answer
        return _sentence(error)
    return ""


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
