"""Identity: which table of which history of a database a target has rows of (docs/decisions/0034)."""

from typing import NamedTuple

_SIGN = "@"


class Identity(NamedTuple):
    """A table, and the history of its database; each is empty where the database cannot tell.

    ``relation`` is another one for another table of the same name, ``history`` where positions are others'.
    """

    relation: str
    history: str = ""

    def __str__(self) -> str:
        return f"{self.relation}{_SIGN}{self.history}" if self.history else self.relation

    @classmethod
    def parse(cls, text: str) -> "Identity":
        """Return the identity that a text tells; one without a history is of before there was any."""
        return cls(*text.split(_SIGN, 1))

    def another_relation(self, before: "Identity") -> bool:
        """Return whether it is another table than before, as far as both are known."""
        return bool(self.relation and before.relation) and self.relation != before.relation

    def another_history(self, before: "Identity") -> bool:
        """Return whether the database has another history than before, as far as both are known."""
        return bool(self.history and before.history) and self.history != before.history
