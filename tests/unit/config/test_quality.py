"""The ``quality`` of a table in the configuration: rules of each kind, and what is none."""

from typing import Any

import pytest
from pydantic import ValidationError

from cdc.config.quality import RuleConfig
from cdc.config.sources import TableConfig
from cdc.core.names import TableName
from cdc.core.quality import Action, Reference, Rule

GOOD: list[tuple[dict[str, Any], Rule]] = [
    ({"name": "amount", "check": "amount >= 0", "action": "stop"}, Rule("amount", "amount >= 0", action=Action.STOP)),
    ({"name": "mail", "unique": ["mail"]}, Rule("mail", unique=("mail",))),
    (
        {"name": "customer", "references": {"columns": ["customer"], "target": "shop.customers", "key": ["id"]}},
        Rule("customer", references=Reference(("customer",), TableName("shop", "customers"), ("id",))),
    ),
    (
        {"name": "same_names", "references": {"columns": ["id"], "target": "shop.customers"}},
        Rule("same_names", references=Reference(("id",), TableName("shop", "customers"), ("id",))),
    ),
    ({"name": "rows", "rows": {"least": 1}}, Rule("rows", rows=(1, None))),
]


@pytest.mark.parametrize(("given", "rule"), GOOD)
def test_rules_are_taken_as_they_are_written(given: dict[str, Any], rule: Rule) -> None:
    table = TableConfig.model_validate({"source": "public.orders", "quality": [given]})
    assert table.quality[0].rule() == rule


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "none"}, "has to have one of check"),
        ({"name": "two", "check": "a > 0", "unique": ["a"]}, "has to have one of check"),
        ({"name": "late", "unique": ["a"], "action": "stop"}, "only a `check` can be judged"),
        ({"name": "rows", "rows": {}}, "bounds nothing"),
        (
            {"name": "r", "references": {"columns": ["a", "b"], "target": "s.t", "key": ["id"]}},
            "another number of columns",
        ),
        ({"name": "Odd Name", "check": "a > 0"}, "pattern"),
    ],
)
def test_what_is_no_rule_is_refused_with_what_it_lacks(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RuleConfig.model_validate(given)


def test_two_rules_of_a_table_have_two_names() -> None:
    rule = {"name": "amount", "check": "a > 0"}
    with pytest.raises(ValidationError, match="two rules are called 'amount'"):
        TableConfig.model_validate({"source": "public.orders", "quality": [rule, rule]})
