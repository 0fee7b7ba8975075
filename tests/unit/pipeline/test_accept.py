"""What is accepted: outdated tables, and those that are stale for another history of their source alone."""

from dataclasses import dataclass, field

from cdc.core.identity import Identity
from cdc.core.names import TableName
from cdc.pipeline.accept import UNPROVED, Accepting
from cdc.pipeline.symptoms import another_history
from tests.fakes.control import MemoryControl

A = TableName("shop", "a")
BEFORE, NOW = Identity("1", "system 7, timeline 1"), Identity("1", "system 7, timeline 2")


@dataclass
class Rig:
    now: Identity = NOW
    control: MemoryControl = field(default_factory=MemoryControl)
    done: list[str] = field(default_factory=list)

    def accept(self) -> tuple[bool, str]:
        accepting = Accepting(self.control, lambda: self, lambda _target: str(self.now), self)
        (found,) = accepting.accept([A], "it lost nothing")
        return found.changed, found.mark or found.left

    def raise_(self, target: TableName) -> None:
        assert str(target) in self.control.marks, "a table is let in again behind its new epoch"
        self.done.append("epoch")

    def write(self, command: str, target: str, what: str, why: str) -> None:
        self.done.append(f"{command} {target}: {why}: {what[:12]}")


def rig(*reasons: str, now: Identity = NOW) -> Rig:
    made = Rig(now)
    made.control.relations[str(A)] = str(BEFORE)
    for reason in reasons:
        made.control.stale(str(A), reason)
    return made


def test_a_table_of_another_history_goes_on_in_a_new_epoch_and_is_to_be_proved() -> None:
    """P23."""
    found = rig(another_history(BEFORE, NOW))
    changed, mark = found.accept()
    assert changed
    assert "timeline 2" in mark
    assert found.done == ["epoch", "tables accept shop.a: it lost nothing: accepted: th"]
    state = found.control.read()
    assert (state.stale, state.relations[str(A)], state.differs[str(A)].why) == ({}, str(NOW), UNPROVED)
    assert str(A) in state.moved


def test_what_has_missed_changes_for_another_reason_too_is_loaded_anew() -> None:
    found = rig("its topic is gone", another_history(BEFORE, NOW))
    changed, left = found.accept()
    assert not changed
    assert "cdc tables reset shop.a" in left
    assert found.done == []


def test_a_source_that_has_yet_another_history_by_now_is_not_accepted_by_the_word_for_the_last_one() -> None:
    found = rig(another_history(BEFORE, NOW), now=NOW._replace(history="system 7, timeline 3"))
    assert found.accept()[0] is False
    assert rig(another_history(BEFORE, NOW), now=BEFORE).accept()[0] is False
    assert rig(another_history(BEFORE, NOW), now=NOW._replace(relation="2")).accept()[0] is False


def test_an_outdated_table_needs_no_look_at_its_source() -> None:
    found = rig()
    found.control.outdated(str(A), "a label was renamed")
    assert found.accept()[0] is True
    assert found.control.read().outdated == {}
    assert found.done == ["tables accept shop.a: it lost nothing: accepted: a "]
    assert found.accept()[0] is False
