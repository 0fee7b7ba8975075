"""The shop's transactions, drawn from a seed: what an application of many users does to its tables.

The statements are those both databases know; ``%s`` stands for a value.
"""

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from cdc.core.names import quote

Statement = tuple[str, tuple[object, ...]]
Transaction = list[Statement]

_COUNTRIES = (("de", "Deutschland"), ("fr", "France"), ("jp", "日本"), ("br", "Brasil"), ("is", "Ísland"))
_STATUSES = ("new", "paid", "sent", "returned")
_START = datetime(2024, 2, 28, 22, tzinfo=UTC)
_LINE = "INSERT INTO order_lines (order_id, line, product_id, quantity, price) VALUES (%s, %s, %s, %s, %s)"
_ORDER = "INSERT INTO orders (id, customer_id, status, total, placed_at, due) VALUES (%s, %s, %s, %s, %s, %s)"


@dataclass
class Shop:
    """Draws transactions; remembers the keys it has given out, so that most of them change something.

    ``mark`` is the database's quotation mark of identifiers. Two shops of one seed draw the same transactions.
    """

    seed: int
    mark: str = '"'
    customers: list[int] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    _number: int = 0

    def __post_init__(self) -> None:
        self._items = quote("Order. Items", self.mark)
        self._random = random.Random(self.seed)  # noqa: S311 - a workload, not a secret

    def stock(self) -> Transaction:
        """Return the first transaction: countries, products, items and some customers."""
        items = f"INSERT INTO {self._items} VALUES (%s, %s, %s)"  # noqa: S608 - a fixed name
        product = "INSERT INTO products (id, name, price, weight, description) VALUES (%s, %s, %s, %s, %s)"
        statements: Transaction = [
            ("INSERT INTO countries VALUES (%s, %s, %s)", (c, n, "19.00")) for c, n in _COUNTRIES
        ]
        statements += [(product, (i, f"product {i}", self._price(), i / 7, None)) for i in range(1, 41)]
        statements += [(items, (i, self._price(), "größer")) for i in range(1, 11)]
        return statements + [statement for _ in range(50) for statement in self._customer()]

    def next(self) -> Transaction:
        """Return the next transaction of one or several statements."""
        kinds: tuple[tuple[Callable[[], Transaction], int], ...] = (
            (self._customer, 3),
            (self._order, 8),
            (self._pay, 8),
            (self._session, 4),
            (self._page, 6),
            (self._price_change, 3),
            (self._cancel, 3),
            (self._rekey_customer, 1),
            (self._rekey_country, 1),
            (self._leave, 1),
            (self._item, 1),
        )
        draw = self._random.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
        return draw() or self._customer()

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _price(self) -> Decimal:
        return Decimal(self._random.randrange(100, 99_999)) / 100

    def _at(self) -> datetime:
        # naive, in UTC: for columns with and without time zone, in sessions whose time zone is UTC
        micros = self._random.randrange(366 * 86_400_000_000)
        return (_START + timedelta(microseconds=micros)).replace(tzinfo=None)

    def _customer(self) -> Transaction:
        number = self._next_number()
        self.customers.append(number)
        name = self._random.choice(("Ada", "Bjørn", "Çelik", "Дарья", "Élodie", "🦊 Fox"))
        sql = "INSERT INTO customers (id, name, email, credit, profile, created_at) VALUES (%s, %s, %s, %s, %s, %s)"
        email = None if number % 5 == 0 else f"c{number}@example.org"
        profile = f'{{"visits": {self._random.randrange(100)}, "note": "n{number}"}}'
        return [(sql, (number, f"{name} {number}", email, self._price(), profile, self._at()))]

    def _order(self) -> Transaction:
        if not self.customers:
            return []
        number = self._next_number()
        self.orders.append(number)
        prices = [self._price() for _ in range(self._random.randint(1, 5))]
        customer = self._random.choice(self.customers)
        order = (number, customer, "new", sum(prices), self._at(), self._at().date())
        lines = [(number, i, self._random.randint(1, 40), 1, price) for i, price in enumerate(prices, 1)]
        credit = ("UPDATE customers SET credit = credit - 1 WHERE id = %s", (customer,))
        return [(_ORDER, order), *((_LINE, line) for line in lines), credit]

    def _pay(self) -> Transaction:
        if not self.orders:
            return []
        sql = "UPDATE orders SET status = %s WHERE id = %s"
        return [(sql, (self._random.choice(_STATUSES), self._random.choice(self.orders)))]

    def _session(self) -> Transaction:
        if not self.customers:
            return []
        key = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        self.sessions.append(key)
        sql = "INSERT INTO sessions (id, customer_id, address, seen_at, pages) VALUES (%s, %s, %s, %s, 1)"
        return [(sql, (key, self._random.choice(self.customers), "192.0.2.7", self._at()))]

    def _page(self) -> Transaction:
        if not self.sessions:
            return []
        key = self._random.choice(self.sessions)
        if self._random.random() < 0.1:
            self.sessions.remove(key)
            return [("DELETE FROM sessions WHERE id = %s", (key,))]
        return [("UPDATE sessions SET pages = pages + 1, seen_at = %s WHERE id = %s", (self._at(), key))]

    def _price_change(self) -> Transaction:
        sql = "UPDATE products SET price = %s, description = %s WHERE id BETWEEN %s AND %s"
        low = self._random.randint(1, 40)
        return [(sql, (self._price(), f"as of {self._at()}", low, low + 3))]

    def _cancel(self) -> Transaction:
        if len(self.orders) < 20:
            return []
        order = self.orders.pop(self._random.randrange(len(self.orders)))
        return [
            ("DELETE FROM order_lines WHERE order_id = %s", (order,)),
            ("DELETE FROM orders WHERE id = %s", (order,)),
        ]

    def _rekey_customer(self) -> Transaction:
        if not self.customers:
            return []
        place, new = self._random.randrange(len(self.customers)), self._next_number()
        old, self.customers[place] = self.customers[place], new
        return [
            ("UPDATE customers SET id = %s WHERE id = %s", (new, old)),
            ("UPDATE orders SET customer_id = %s WHERE customer_id = %s", (new, old)),
        ]

    def _rekey_country(self) -> Transaction:
        code = self._random.choice(_COUNTRIES)[0]
        old, new = self._random.sample((code, code.upper()), 2)
        return [("UPDATE countries SET code = %s WHERE code = %s", (new, old))]

    def _leave(self) -> Transaction:
        if len(self.customers) < 20:
            return []
        customer = self.customers.pop(self._random.randrange(len(self.customers)))
        return [("DELETE FROM customers WHERE id = %s", (customer,))]

    def _item(self) -> Transaction:
        number = self._random.randint(1, 10)
        again = (number, self._price(), "kleiner")  # deleted and inserted again in one transaction
        delete = f"DELETE FROM {self._items} WHERE {quote('Item No', self.mark)} = %s"  # noqa: S608 - a fixed name
        return [(delete, (number,)), (f"INSERT INTO {self._items} VALUES (%s, %s, %s)", again)]  # noqa: S608
