"""Plans and their execution against a fake Connect."""

import pytest

from cdc.connect.render import render
from cdc.core.errors import ConfigError, TerminalError, TransientError
from cdc.pipeline.connector_state import parse_status, redacted, shortened
from cdc.pipeline.leftovers import topics_of
from cdc.pipeline.register import Change, Connectors
from tests.fakes.configuration import MYSQL, ORACLE, POSTGRES, configuration
from tests.fakes.connect import FakeClock, FakeConnect, FakeTopics


class Stand:
    def __init__(self):
        self.config = configuration(kafka={"bootstrap_servers": "k:9092", "partitions": 4})
        self.cluster, self.topics, self.clock = FakeConnect(), FakeTopics(), FakeClock()
        self.connectors = Connectors(
            self.config,
            lambda source: render(source, self.config),
            self.cluster,
            self.topics,
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def applied(self, name="shop"):
        return self.connectors.apply(self.connectors.plan(name))


@pytest.fixture
def stand():
    return Stand()


def test_the_first_plan_creates_everything(stand):
    """M14, K2."""
    plan = stand.connectors.plan("store")
    assert plan.action == "create"
    assert {(t.name, t.action, t.partitions, t.settings["retention.ms"]) for t in plan.topics} == {
        ("store.my-shop.customers", "create", 4, "604800000"),
        ("__debezium-heartbeat.store", "create", 1, "604800000"),
        ("store.schema-history", "create", 1, "-1"),  # M14
        ("store", "create", 1, "604800000"),
    }
    assert {t.settings["cleanup.policy"] for t in plan.topics} == {"delete"}  # K2
    assert stand.cluster.calls == []


@pytest.mark.parametrize(("replicas", "in_sync"), [(1, "1"), (2, "1"), (3, "2")])
def test_acknowledged_means_on_more_than_one_broker(replicas, in_sync):
    """K7."""
    config = configuration(kafka={"bootstrap_servers": "k:9092", "replication_factor": replicas})
    connectors = Connectors(config, lambda source: render(source, config), FakeConnect(), FakeTopics())
    assert {topic.settings["min.insync.replicas"] for topic in connectors.plan("store").topics} == {in_sync}


def test_postgres_has_no_history_topic(stand):
    names = [topic.name for topic in stand.connectors.plan("shop").topics]
    assert names == ["shop.public.customers", "shop.public.Order._Items", "__debezium-heartbeat.shop"]


def test_apply_is_idempotent(stand):
    stand.applied()
    assert stand.connectors.plan("shop").empty
    stand.cluster.calls.clear()
    assert stand.applied().running
    assert stand.cluster.calls == ["validate shop"]


def test_a_change_is_shown_by_key_without_secrets(stand):
    stand.applied()
    settings = stand.cluster.connectors["shop"]
    settings["poll.interval.ms"] = "500"
    settings["database.password"] = "hunter2"
    settings["added"] = "x"
    plan = stand.connectors.plan("shop")
    assert plan.action == "update"
    assert plan.changes == (
        Change("added", "x", None),
        Change("database.password", "***", "${env:CDC_POSTGRES_PASSWORD}"),
        Change("poll.interval.ms", "500", "50"),
    )


def test_topics_that_differ_are_configured(stand):
    """K2."""
    stand.applied()
    stand.topics.topics["shop.public.customers"]["cleanup.policy"] = "compact"
    (topic, *others) = stand.connectors.plan("shop").topics
    assert topic.action == "configure"
    assert topic.changes == (Change("cleanup.policy", "compact", "delete"),)
    assert {t.action for t in others} == {"unchanged"}
    stand.applied()
    assert stand.connectors.plan("shop").empty


def test_nothing_changes_when_the_class_refuses(stand):
    stand.cluster.problems = [("database.hostname", "Unable to connect, password=hunter2")]
    with pytest.raises(ConfigError, match=r"database.hostname: Unable to connect, password=\*\*\*"):
        stand.applied()
    assert stand.topics.topics == {}
    assert stand.cluster.connectors == {}


def test_a_failed_task_raises_the_beginning_of_its_trace(stand):
    stand.cluster.states.extend(["RUNNING", "FAILED"])
    with pytest.raises(TerminalError) as caught:
        stand.applied()
    text = r"connector 'shop' failed: org.x.ConnectException: no | Caused by: PSQLException: password=*** refused"
    assert str(caught.value) == text


def test_a_task_has_to_run_for_a_while(stand):
    stand.cluster.states.extend(["UNASSIGNED", "RUNNING", "UNASSIGNED", "RUNNING"])
    assert stand.applied().running
    assert stand.clock.now >= 2.75


def test_a_task_that_never_runs_is_transient(stand):
    stand.cluster.states.extend(["UNASSIGNED"] * 1000)
    with pytest.raises(TransientError, match="still UNASSIGNED after 90 s"):
        stand.applied()


def test_apply_leaves_a_paused_connector_paused(stand):
    stand.applied()
    stand.connectors.pause("shop")
    assert stand.applied().state == "PAUSED"
    assert stand.connectors.resume("shop").running


def test_restart_touches_only_what_failed(stand):
    stand.applied()
    stand.cluster.calls.clear()
    stand.cluster.states.append("FAILED")
    assert stand.connectors.restart("shop").running
    assert stand.cluster.calls == ["restart shop"]


def test_a_restart_of_one_that_runs_did_nothing(stand):
    """It may be silent all the same; one that was paused goes on to rest."""
    stand.applied()
    stand.cluster.calls.clear()
    assert stand.connectors.restart("shop").running
    assert stand.cluster.calls == []
    assert stand.connectors.restart("shop", whole=True).running
    assert stand.cluster.calls == ["restart all of shop"]
    stand.connectors.pause("shop")
    stand.cluster.calls.clear()
    assert stand.connectors.restart("shop", whole=True).resting
    assert stand.cluster.calls == []


def test_restart_gives_up_after_its_attempts(stand):
    """K18: no endless loop; pauses grow."""
    stand.applied()
    stand.cluster.states.append("FAILED")
    stand.cluster.restart_failed = lambda _name: stand.cluster.states.extend(["RESTARTING", "FAILED"])
    with pytest.raises(TerminalError, match="connector 'shop' failed"):
        stand.connectors.restart("shop", attempts=3)
    assert stand.clock.now >= 3


def test_remove_says_what_stays(stand):
    """K17."""
    stand.applied()
    left = stand.connectors.remove("shop")
    assert [(item.what, item.name) for item in left] == [
        ("replication slot", "cdc_shop"),
        ("publication", "cdc_shop"),
        ("role", "cdc"),
        ("offsets", "shop"),
        ("topic", "__debezium-heartbeat.shop"),
        ("topic", "shop.public.Order._Items"),
        ("topic", "shop.public.customers"),
        ("subject", "__debezium-heartbeat.shop-key"),
        ("subject", "__debezium-heartbeat.shop-value"),
        ("subject", "shop.public.Order._Items-key"),
        ("subject", "shop.public.Order._Items-value"),
        ("subject", "shop.public.customers-key"),
        ("subject", "shop.public.customers-value"),
        ("target", "shop.customers"),
        ("target", "shop.order__items"),
        ("lease", 'cdc."lease_shop"'),
    ]
    assert all(item.removal for item in left)
    assert stand.connectors.status("shop").state == "MISSING"


def test_remove_with_offsets_stops_first(stand):
    """K17."""
    stand.applied()
    stand.cluster.calls.clear()
    left = stand.connectors.remove("shop", offsets=True)
    assert stand.cluster.calls == ["stop shop", "delete offsets shop", "delete shop"]
    assert "offsets" not in [item.what for item in left]


def test_the_heartbeat_topic_goes_with_the_offsets_and_not_without(stand):
    """Its id tells tables that were loaded before that the log has a gap for them."""
    stand.applied()
    stand.connectors.remove("shop")
    assert "__debezium-heartbeat.shop" in stand.topics.topics
    stand.applied()
    would = stand.connectors.leftovers("shop", offsets=True)
    assert would == stand.connectors.remove("shop", offsets=True)
    assert "__debezium-heartbeat.shop" not in [item.name for item in would]
    assert "__debezium-heartbeat.shop" not in stand.topics.topics


@pytest.mark.parametrize("name", ["shop", "store"])
def test_of_a_source_that_left_the_configuration_the_connector_tells_what_stays(stand, name):
    """It could not be removed: `no source is named`."""
    stand.applied(name)
    before = stand.connectors.leftovers(name)
    others = tuple(source for source in stand.config.sources if source.name != name)
    config = stand.config.model_copy(update={"sources": others})
    left = Connectors(config, lambda source: render(source, config), stand.cluster, stand.topics)
    assert left.leftovers(name) == tuple(item for item in before if item.what != "target")
    left.remove(name)
    assert stand.connectors.status(name).state == "MISSING"
    with pytest.raises(ConfigError, match=f"no source is named '{name}'"):
        left.remove(name)


@pytest.mark.parametrize("kind", [POSTGRES, MYSQL, ORACLE])
def test_topics_told_by_the_settings_are_those_of_the_source(kind):
    odd = {"source": 'public."a,b.\\d ü"', "key": ["id"]}
    config = configuration(kind | {"tables": [*kind["tables"], odd]} if kind is POSTGRES else kind)
    (source,) = config.sources
    topics = topics_of(render(source, config))
    assert topics[: len(source.tables)] == [source.topic_of(table) for table in source.tables]
    assert set(topics) == {
        topic.name
        for topic in Connectors(config, lambda one: render(one, config), FakeConnect(), FakeTopics())
        .plan(source.name)
        .topics
    }


def test_an_unknown_name_and_a_missing_connector_are_named(stand):
    with pytest.raises(ConfigError, match="no source is named 'shp'") as caught:
        stand.connectors.plan("shp")
    assert "shop, store, erp" in caught.value.hint
    with pytest.raises(TerminalError, match="is not registered"):
        stand.connectors.pause("shop")


def test_traces_are_shortened_and_secrets_go():
    trace = "a.B: x\n\tat y\nCaused by: c.D: secret: abc\n\tat z\n\t... 3 more\nCaused by: e.F: z\nCaused by: g"
    trace += "\nCaused by: h\nCaused by: i"
    assert shortened(trace) == "a.B: x | Caused by: c.D: secret: *** | Caused by: e.F: z | Caused by: g | Caused by: h"
    assert redacted("${env:CDC_X}", "database.password") == "${env:CDC_X}"
    assert redacted("abc", "database.password") == "***"
    assert redacted('{"database.password": "abc", "a": 1}') == '{"database.password": ***, "a": 1}'


def test_missing_is_a_state():
    assert parse_status("x", None).state == "MISSING"
