"""The generated reference says something about everything."""

import json

import pytest
import yaml
from pydantic import BaseModel

from cdc.config.models import Config
from cdc.config.problems import sections_in
from cdc.config.reference import render_reference, render_schema


def sections(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for field in model.model_fields.values():
        for section in sections_in(field.annotation):
            found |= sections(section)
    return found


ALL = sorted(sections(Config), key=lambda section: section.__name__)
NUMBERS_WITHOUT_UNIT = {"version", "port", "http_port", "server_id"}


@pytest.mark.parametrize("section", ALL)
def test_every_field_has_a_meaning_and_every_number_a_unit(section: type[BaseModel]) -> None:
    for name, field in section.model_fields.items():
        assert field.description, f"{section.__name__}.{name} has no description"
        assert field.description.endswith("."), f"the description of {section.__name__}.{name} is no sentence"
        if field.annotation is int and name not in NUMBERS_WITHOUT_UNIT:
            assert (field.json_schema_extra or {}).get("unit"), f"{section.__name__}.{name} has no unit"


def test_the_reference_names_every_field() -> None:
    text = render_reference()
    for section in ALL:
        for name in section.model_fields:
            assert f"| `{name}` |" in text


def test_the_schema_describes_the_examples() -> None:
    schema = json.loads(render_schema())
    assert set(schema["required"]) == {"kafka", "connect", "catalog", "sources"}
    assert schema["additionalProperties"] is False
    assert yaml.safe_dump(schema)
