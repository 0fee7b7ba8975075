"""``cdc tables reset`` is the way out of every state in which a table is stopped or wrong, on both databases.

One service with a table for each state; the others of the source go on, and nothing is started again.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from cdc.lake.pyiceberg_catalog import open_catalog
from tests.e2e.databases import Database
from tests.e2e.loading import reconfigure
from tests.e2e.service import await_true, has_line
from tests.e2e.shop import ENGINES, Shop, shop_of, stack_for

pytestmark = pytest.mark.timeout(900)
ROWS = 2_000
WELL = ("calm", "emptied")
BROKEN = ("retyped", "defaulted", "renamed", "recreated", "unheard", "rekeyed", "expired", "shifted")
STOPPED = ("retyped", "rekeyed", "expired", "shifted")


class BrokenShop(Shop):
    """A source with a table for each trouble, and one that is left in peace."""

    def purge(self, table: str) -> None:
        """Remove all that the table's topic holds, as its retention does."""
        admin = AdminClient({"bootstrap.servers": self.database.at.kafka})
        topic = f"{self.name}.{self.name}.{table}"
        partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
        for future in admin.delete_records([TopicPartition(topic, p, -1) for p in partitions]).values():
            future.result(timeout=30)

    def unheard(self) -> None:
        """Delete rows so that the log does not tell of it."""
        statement = f"DELETE FROM {self.name}.unheard WHERE id % 2 = 0"
        if self.database.engine == "mysql":
            self.database.sql("SET SESSION sql_log_bin = 0", statement, role="root")
        else:
            publication = f"ALTER PUBLICATION cdc_{self.name}"
            # in transactions of their own: the publication counts as it is when a change is decoded
            for one in (
                f"{publication} DROP TABLE {self.name}.unheard",
                statement,
                f"{publication} ADD TABLE {self.name}.unheard",
            ):
                self.database.sql(one)


def settings(document: dict[str, Any]) -> None:
    document["stream"]["reload_interval"] = "2s"
    document["load"] = {"parallel_tables": 4}
    document["sources"][0]["tables"][-1]["snapshot"] = "connector"  # a loaded one would be loaded by itself


@pytest.fixture(scope="module", params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokenShop]:
    stack, folder = stack_for(request, request.param), tmp_path_factory.mktemp("reset")
    database = Database(stack.addresses(), request.param, f"reset_{request.param}", 60)
    with shop_of(BrokenShop, stack, folder, database, (*WELL, *BROKEN), settings) as made:
        made.capture((*WELL, *BROKEN), ROWS)
        made.service.start()
        yield made


def test_reset_mends_every_state_in_which_a_table_is_stopped_or_wrong(shop: BrokenShop) -> None:
    """S28, P33, K1, P71, M3, S31, T9: wrong types, old values of new and renamed columns, a table made anew, rows
    nobody told of, another key, events that Kafka has no more, a new target whose topic has lost its beginning. A table
    whose events have all been applied and removed goes on.
    """
    shop.service.await_equal()
    break_all(shop)
    found = shop.await_states(dict.fromkeys(STOPPED, "stopped") | dict.fromkeys(WELL, "running"))
    assert all("cdc tables reset" in found[name]["detail"] for name in STOPPED), found
    shop.sql("UPDATE {s}.calm SET n = n + 1")
    shop.tables("reset", *BROKEN, why="a test")
    shop.await_states(dict.fromkeys((*WELL, *BROKEN), "running"))
    shop.sql(*(f"UPDATE {{s}}.{name} SET amount = 1 WHERE id < 20" for name in (*WELL, *BROKEN)))
    shop.service.await_equal()
    rekeyed = open_catalog(shop.service.config.catalog).load_table((shop.name, "rekeyed"))
    assert [str(field.transform) for field in rekeyed.spec().fields] == ["bucket[4]"]
    assert rekeyed.schema().identifier_field_names() == {"name"}
    assert shop.service.log.read_text(errors="replace").count("lease taken") == 1  # never started again


def break_all(shop: BrokenShop) -> None:
    """Bring each table into its state."""
    text = {"postgres": "ALTER COLUMN n TYPE text", "mysql": "MODIFY n text"}[shop.database.engine]
    shop.tables("pause", "expired")
    shop.await_state("expired", "paused")
    shop.sql("UPDATE {s}.expired SET n = n + 1")
    shop.sql(
        f"ALTER TABLE {{s}}.retyped {text}",
        "UPDATE {s}.retyped SET n = 'x' WHERE id < 50",
        "ALTER TABLE {s}.defaulted ADD COLUMN extra int NOT NULL DEFAULT 5",
        "UPDATE {s}.defaulted SET n = 9 WHERE id < 50",
        "ALTER TABLE {s}.renamed RENAME COLUMN name TO label",
        "UPDATE {s}.renamed SET n = 9 WHERE id < 50",
        "DROP TABLE {s}.recreated",
    )
    shop.database.create("recreated", 50)
    shop.database.publish_also("recreated")
    shop.unheard()
    shop.sql(*(f"UPDATE {{s}}.{name} SET n = n + 1" for name in WELL))
    for name in WELL:  # what was changed before it has been delivered too
        await_applied(shop, name)
    shop.purge("emptied")  # all of it is in the lake: the next query begins behind the last transaction's marker
    rekey(shop)
    shop.purge("expired")
    shop.purge("shifted")
    shop.tables("resume", "expired")
    reconfigure(shop.service, lambda c: c["sources"][0]["tables"][-1].update(target=f"{shop.name}_elsewhere.shifted"))


def rekey(shop: BrokenShop) -> None:
    """Choose another key for a table, with all that its source needs for it."""
    if shop.database.engine == "mysql":
        shop.sql("ALTER TABLE {s}.rekeyed MODIFY name varchar(40) NOT NULL, ADD UNIQUE (name)")
    else:
        shop.sql(
            "ALTER TABLE {s}.rekeyed ALTER COLUMN name SET NOT NULL, ADD UNIQUE (name)",
            "ALTER TABLE {s}.rekeyed REPLICA IDENTITY FULL",
        )
    number = len(WELL) + BROKEN.index("rekeyed")
    reconfigure(
        shop.service, lambda c: c["sources"][0]["tables"][number].update(key=["name"], partition_by=["bucket(4, name)"])
    )
    shop.command("connectors", "apply", shop.name)
    shop.sql("DELETE FROM {s}.rekeyed WHERE id % 3 = 0", "UPDATE {s}.rekeyed SET id = id + 100000 WHERE id % 3 = 1")


def await_applied(shop: BrokenShop, table: str) -> None:
    """Wait until a change of a table is in the lake."""
    await_true(lambda: has_line(shop.service.log, "batch applied", f"{shop.name}.{table}"), 90, f"a change of {table}")
