"""Which table of which history: what is told of two of them."""

import pytest

from cdc.core.identity import Identity

TABLE = Identity("16385:3", "system 7, timeline 1")


@pytest.mark.parametrize("identity", [TABLE, Identity("16385:"), Identity("", "server a-b"), Identity("")])
def test_an_identity_is_what_its_text_says(identity: Identity) -> None:
    assert Identity.parse(str(identity)) == identity


@pytest.mark.parametrize(
    ("now", "relation", "history"),
    [
        (TABLE, False, False),
        (TABLE._replace(relation="16386:3"), True, False),
        (TABLE._replace(history="system 7, timeline 2"), False, True),
        (TABLE._replace(history=""), False, False),
        (Identity("", "system 8, timeline 1"), False, True),
    ],
)
def test_what_is_not_known_is_nothing_else(now: Identity, relation: bool, history: bool) -> None:
    """What was noted before histories were asked for says nothing of them."""
    for one, other in ((now, TABLE), (TABLE, now)):
        assert (one.another_relation(other), one.another_history(other)) == (relation, history)
