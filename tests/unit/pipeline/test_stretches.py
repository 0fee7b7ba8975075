"""K16: a connector without its offsets begins at the end of the log, in silence; its schema history gives it away."""

import json

import pytest

from cdc.core.errors import PositionLost
from cdc.core.progress import Progress, TopicState, check_continuity
from cdc.core.stretch import Stretch
from cdc.pipeline.engine import capture_id
from cdc.pipeline.stretches import Stretches
from tests.fakes.configuration import POSTGRES, configuration
from tests.fakes.connect import FakeTopics
from tests.fakes.control import MemoryControl

HISTORY, HEARTBEAT = "shop.schema-history", "__debezium-heartbeat.shop"


def record(place: int, *, snapshot: bool = True) -> bytes:
    position = {"file": "binlog.000003", "pos": place, "gtids": "a:1-7", "snapshot": snapshot}
    return json.dumps({"position": position, "ddl": "CREATE TABLE `t` (n INT)", "tableChanges": []}).encode()


class Rig:
    """A source's topics and its notes; ``look`` returns what names the stretch that is captured."""

    def __init__(self) -> None:
        self.source = configuration(POSTGRES).sources[0]
        self.topics, self.control = FakeTopics(), MemoryControl()
        self.topics.records = {HISTORY: [record(100), record(100)], HEARTBEAT: []}

    def look(self) -> str:
        Stretches(self.topics, self.control).follow(self.source, HISTORY, self.control.read().places)
        topics = {HEARTBEAT: TopicState(self.topics.ids.get(HEARTBEAT, f"id of {HEARTBEAT}"), {})}
        return capture_id(topics, self.source.name, self.control.read().places)


def test_what_a_connector_writes_as_it_goes_on_begins_nothing() -> None:
    rig = Rig()
    first = rig.look()
    assert first == f"id of {HEARTBEAT}"
    rig.topics.records[HISTORY] += [record(100), record(900, snapshot=False), b"", b"not json", b"[]"]
    assert rig.look() == first
    assert Stretch.parse(rig.control.places["shop.stretch"]).read == 7


def test_definitions_written_anew_at_another_place_begin_a_stretch_and_stop_what_was_loaded_before_k16() -> None:
    rig = Rig()
    before = rig.look()
    rig.topics.records[HISTORY] += [record(2000), record(2000)]
    now = rig.look()
    assert now == f"{before}@binlog.000003:2000"
    with pytest.raises(PositionLost, match="begun anew without its offsets"):
        check_continuity(Progress("t", "id", capture=before), TopicState("id", {}), now)
    check_continuity(Progress("t", "id", capture=now), TopicState("id", {}), now)
    assert rig.look() == now
    rig.topics.records[HISTORY] += [record(3000)]
    assert rig.look() == f"{before}@binlog.000003:3000"


def test_a_history_that_is_lost_with_the_offsets_begins_a_stretch_too() -> None:
    rig = Rig()
    before = rig.look()
    rig.topics.ids[HISTORY], rig.topics.records[HISTORY] = "another", [record(2000)]
    assert rig.look() == f"{before}@binlog.000003:2000"


def test_a_history_that_is_recovered_begins_none() -> None:
    """The offsets are there: the connector was told to write its definitions down again."""
    rig = Rig()
    before = rig.look()
    rig.source = rig.source.model_copy(update={"connector": {"snapshot.mode": "recovery"}})
    rig.topics.ids[HISTORY], rig.topics.records[HISTORY] = "another", [record(2000)]
    assert rig.look() == before
    rig.source = rig.source.model_copy(update={"connector": {}})
    rig.topics.records[HISTORY] += [record(2000)]
    assert rig.look() == before


def test_a_connector_whose_offsets_were_deleted_by_the_command_begins_with_its_heartbeat_topic() -> None:
    rig = Rig()
    rig.look()
    rig.topics.records[HISTORY] += [record(2000)]
    rig.look()
    rig.topics.ids[HEARTBEAT] = "new"
    rig.topics.records[HISTORY] += [record(4000)]
    assert rig.look() == "new"
    rig.topics.records[HISTORY] += [record(5000)]
    assert rig.look() == "new@binlog.000003:5000"


def test_a_first_look_before_the_connector_has_written_anything_begins_none() -> None:
    rig = Rig()
    rig.topics.records[HISTORY] = []
    before = rig.look()
    rig.topics.records[HISTORY] += [record(100)]
    assert rig.look() == before


@pytest.mark.parametrize("text", ["", "nonsense", '{"other": 1}'])
def test_a_note_that_is_not_understood_tells_nothing(text: str) -> None:
    assert Stretch.parse(text) == Stretch()
