"""Positions: the ordered place of a change in its source's log, one total order per key.

A position is ``(epoch, three components of the engine, Kafka offset)``; larger wins. ``S`` is 0 for a read and 1 for a
change, so reads lose ties. Its text is fixed-width hexadecimal and compares like the position itself, byte by byte.

A *place* is less: where something stands in the log, to tell whether a connector has passed what a source has noted.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

EPOCH_DIGITS = 8
OFFSET_DIGITS = 16


class Layout(NamedTuple):
    """How an engine fills the three components: their names and widths in hexadecimal digits.

    ``transaction`` counts the leading components that all changes of one transaction share. ``deferred_keys`` says
    whether two rows may hold one key inside a transaction (constraints checked at the statement's end or later).
    ``unique_places`` says that two changes of one key never share a place: a second one there is a redelivery. In
    MySQL they may (``binlog_transaction_compression``, hazard M12), and the Kafka offset decides.
    """

    names: tuple[str, str, str]
    digits: tuple[int, int, int]
    transaction: int
    deferred_keys: bool
    unique_places: bool

    @property
    def place_width(self) -> int:
        """Return the number of characters of the text without the Kafka offset."""
        return EPOCH_DIGITS + sum(self.digits) + 3

    @property
    def order_width(self) -> int:
        """Return the number of leading characters that order the changes of one key."""
        return self.place_width + (0 if self.unique_places else 1 + OFFSET_DIGITS)

    @property
    def transaction_width(self) -> int:
        """Return the number of leading characters that are equal within a transaction."""
        return EPOCH_DIGITS + sum(self.digits[: self.transaction]) + self.transaction


LAYOUTS = {
    "postgres": Layout(("last_commit_lsn", "change", "lsn"), (16, 1, 16), 1, deferred_keys=True, unique_places=True),
    "mysql": Layout(("file", "pos", "change"), (8, 16, 1), 2, deferred_keys=False, unique_places=False),
    "oracle": Layout(("commit_scn", "change", "tx_seq"), (16, 1, 16), 1, deferred_keys=True, unique_places=True),
}
"""Per engine; derived in docs/semantics.md, "Order"."""


class Position(NamedTuple):
    """A change's place in the source's log, made total by the Kafka offset."""

    epoch: int
    components: tuple[int, int, int]
    offset: int

    def text(self, layout: Layout) -> str:
        """Return the fixed-width form; raises ValueError when a component does not fit."""
        form, width = _form(layout)
        text = form(self.epoch, *self.components, self.offset)
        if len(text) == width and min(self.epoch, *self.components, self.offset) >= 0:
            return text
        return f"{self.place(layout)}-{hexadecimal(self.offset, OFFSET_DIGITS)}"  # which says what does not fit

    def place(self, layout: Layout) -> str:
        """Return the fixed-width form without the offset: comparable between Kafka partitions."""
        return f"{hexadecimal(self.epoch, EPOCH_DIGITS)}-{components_text(self.components, layout)}"


@cache
def _form(layout: Layout) -> tuple[Callable[..., str], int]:
    """Return what writes a position, epoch and offset included, and how long its texts are."""
    digits = (EPOCH_DIGITS, *layout.digits, OFFSET_DIGITS)
    return "-".join(f"{{:0{one}x}}" for one in digits).format, sum(digits) + len(digits) - 1


def newer(position: Position, than: Position | None, layout: Layout) -> bool:
    """Return whether a change at ``position`` comes after what is known of its key; a redelivery does not."""
    return than is None or position.text(layout)[: layout.order_width] > than.text(layout)[: layout.order_width]


def parse_position(text: str) -> Position:
    """Return the position behind its fixed-width form."""
    epoch, first, second, third, offset = (int(part, 16) for part in text.split("-"))
    return Position(epoch, (first, second, third), offset)


def components_text(components: tuple[int, int, int], layout: Layout) -> str:
    """Return a position's components alone, in its fixed-width form."""
    return "-".join(hexadecimal(c, width) for c, width in zip(components, layout.digits, strict=True))


def parse_components(text: str) -> tuple[int, int, int]:
    """Return the components behind their fixed-width form; those before all others for an empty text."""
    first, second, third = (int(part, 16) for part in text.split("-")) if text else (-1, -1, -1)
    return first, second, third


def hexadecimal(number: int, digits: int) -> str:
    """Return a component as positions hold it; raises ValueError when it does not fit."""
    if not 0 <= number < 16**digits:
        raise ValueError(f"position component {number} does not fit into {digits} hexadecimal digits")
    return f"{number:0{digits}x}"


def log_place(engine: str, text: str) -> tuple[int, ...]:
    """Return a source's own position as numbers that compare like places in its log.

    ``text`` is as the source prints it: an LSN (``16/3002D50``), ``binlog.000003:1234`` with or without GTIDs behind,
    an SCN. Raises ValueError if it is none. MySQL's compare within one server: another one numbers its files anew.
    """
    match engine:
        case "postgres":
            high, low = text.split("/")
            return (int(high, 16) << 32 | int(low, 16),)
        case "mysql":
            file, _, position = text.partition(" ")[0].rpartition(":")
            return int(file.rpartition(".")[2]), int(position)
        case _:
            return (int(text),)


def connector_place(engine: str, offset: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return a place such that all changes committed at or before it are in Kafka, from a connector's stored offset.

    None if the offset does not tell: the connector has not come to a commit yet, or is taking its snapshot, after whose
    failure it begins again further on. Kafka Connect stores an offset in the transaction of the messages before it.
    """
    if offset.get("snapshot") not in (None, False, "false"):
        return None
    match engine:
        case "postgres":
            # The end of the last transaction that was handed over whole, or the place of a later message outside of any
            # (heartbeats write one). The server sends whole transactions in the order of their commit records, and
            # such messages between them, so whatever committed before has been sent. A snapshot sets "lsn", not this.
            return _numbers(offset.get("lsn_commit"))
        case "mysql":
            # Where the connector would start again: behind the last whole transaction, or before the one it is in
            # ("event" and "row" count what of it is done). Transactions stand in the log in the order of their commits.
            if not (file := offset.get("file")):
                return None
            return _numbers(str(file).rpartition(".")[2], offset.get("pos"))
        case _:
            # Where LogMiner would start again: no transaction that began before is open, none that ended is missing.
            return _numbers(offset.get("scn"))


def _numbers(*parts: object) -> tuple[int, ...] | None:
    return None if None in parts else tuple(int(str(part)) for part in parts)
