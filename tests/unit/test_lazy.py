"""Properties that are computed once: nobody waits for another instance's."""

import threading
from dataclasses import dataclass, field

from cdc.lazy import lazy


@dataclass(frozen=True)
class Made:
    """Something whose value may have to wait."""

    ready: threading.Event
    asked: list[int] = field(default_factory=list)
    computing: threading.Event = field(default_factory=threading.Event)

    @lazy
    def value(self) -> int:
        """Return what comes when it is ready."""
        self.computing.set()
        assert self.ready.wait(10)
        self.asked.append(1)
        return len(self.asked)


def ready() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def test_it_is_computed_once_and_says_what_it_is() -> None:
    made = Made(ready())
    assert (made.value, made.value, len(made.asked)) == (1, 1, 1)
    assert Made.value.__doc__ == "Return what comes when it is ready."


def test_tables_that_were_truncated_in_one_batch_waited_for_each_other_for_ever() -> None:
    """One had a session and waited for the lock of the property, the other held that lock and waited for a session."""
    waits = Made(threading.Event())
    thread = threading.Thread(target=lambda: waits.value)
    thread.start()
    try:
        assert waits.computing.wait(10)
        assert Made(ready()).value == 1
    finally:
        waits.ready.set()
        thread.join(10)
    assert waits.value == 1
    assert not thread.is_alive()


def test_threads_that_compute_it_at_once_see_the_same() -> None:
    made, found = Made(threading.Event()), list[int]()
    threads = [threading.Thread(target=lambda: found.append(made.value)) for _ in range(3)]
    for thread in threads:
        thread.start()
    made.ready.set()
    for thread in threads:
        thread.join(10)
    assert set(found) == {made.value}
