"""Addresses of databases, which may hold a password and are never shown."""

import pytest

from cdc.config.database_url import DatabaseUrl, parse_database_url
from cdc.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://me@db/shop", DatabaseUrl("postgres", "db", 5432, "shop", "me")),
        ("postgresql://me:p%40ss@db:6000/my%20shop", DatabaseUrl("postgres", "db", 6000, "my shop", "me", "p@ss")),
        ("mysql://me@[::1]/shop?ssl-mode=required", DatabaseUrl("mysql", "::1", 3306, "shop", "me", "", "required")),
        ("postgres://me@db/shop?sslmode=require", DatabaseUrl("postgres", "db", 5432, "shop", "me", "", "require")),
        ("oracle://me@db/ORCL", DatabaseUrl("oracle", "db", 1521, "ORCL", "me")),
    ],
)
def test_an_address_has_parts(text: str, expected: DatabaseUrl) -> None:
    assert parse_database_url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///secret",
        "postgres://db/secret",
        "postgres://me:secret@db",
        "postgres://me:secret@db:port/shop",
        "postgres://me:secret@[/shop",
        "postgres://me:secret@db/shop?options=x",
        "postgres://me:secret@/shop",
    ],
)
def test_a_wrong_address_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_database_url(text)
    assert "secret" not in str(refused.value) + refused.value.hint
    assert refused.value.__cause__ is None


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(parse_database_url("postgres://me:secret@db/shop"))
