"""The demo's workload: drawn from a seed alone, and made of every kind of change."""

from collections import Counter

import pytest

from cdc.local.demo.shop import Shop, Transaction
from cdc.local.demo.workload import schema


def draw(seed: int, count: int, mark: str = '"') -> list[Transaction]:
    shop = Shop(seed, mark)
    return [shop.stock(), *(shop.next() for _ in range(count))]


def test_same_seed_draws_the_same() -> None:
    assert draw(3, 500) == draw(3, 500)
    assert draw(3, 500) != draw(4, 500)


def test_both_databases_are_given_the_same_values() -> None:
    plain = [[values for _, values in transaction] for transaction in draw(3, 500, '"')]
    assert plain == [[values for _, values in transaction] for transaction in draw(3, 500, "`")]


def test_every_kind_of_change_occurs() -> None:
    transactions = draw(1, 2000)
    verbs = Counter(sql.split()[0] for transaction in transactions for sql, _ in transaction)
    assert set(verbs) == {"INSERT", "UPDATE", "DELETE"}
    assert min(verbs.values()) > 50
    moves = [sql for transaction in transactions for sql, _ in transaction if sql.startswith("UPDATE customers SET id")]
    assert moves
    tables = {sql.split()[2] for transaction in transactions for sql, _ in transaction if sql.startswith("INSERT")}
    assert tables == {"customers", "products", "orders", "order_lines", "countries", "sessions", '"Order.'}
    assert any(len(transaction) > 2 for transaction in transactions[1:])


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_schema_has_the_configured_tables(engine: str) -> None:
    statements = schema(engine)
    assert len(statements) == 7
    assert all(statement.startswith("CREATE TABLE ") for statement in statements)
