"""Configurations to start a test from: valid, small, with secrets that resolve to a canary."""

from typing import Any

from cdc.config.models import Config

CANARY = "canary-7c1f"

POSTGRES: dict[str, Any] = {
    "type": "postgres",
    "name": "shop",
    "host": "db",
    "database": "shop",
    "password": "${env:CDC_POSTGRES_PASSWORD}",
    "tables": [
        {"source": "public.customers", "key": ["id"]},
        {"source": 'public."Order. Items"', "key": ["Order No", "line"]},
    ],
}
MYSQL: dict[str, Any] = {
    "type": "mysql",
    "name": "store",
    "host": "db",
    "database": "my-shop",
    "server_id": 5701,
    "password": "${file:/run/secrets/mysql}",
    "tables": [{"source": "my-shop.customers", "key": ["id"], "target": "store.c"}],
}
ORACLE: dict[str, Any] = {
    "type": "oracle",
    "name": "erp",
    "host": "db",
    "database": "ORCLCDB",
    "pdb": "ORCLPDB1",
    "user": "C##CDC",
    "password": "${env:CDC_ORACLE_PASSWORD}",
    "tables": [{"source": "SALES.ORDERS", "key": ["ID"]}],
}


def configuration(*sources: dict[str, Any], **sections: Any) -> Config:
    """Return the configuration of these sources (all three engines by default), sections overridden."""
    data = {
        "kafka": {"bootstrap_servers": "kafka:9092"},
        "registry": {"url": "http://registry/apis/ccompat/v7"},
        "connect": {"url": "http://connect:8083"},
        "catalog": {"type": "jdbc", "uri": "jdbc:postgresql://db/catalog", "warehouse": "/w"},
        "sources": sources or (POSTGRES, MYSQL, ORACLE),
    }
    return Config.model_validate(data | sections, context={"resolve": lambda _kind, _name: CANARY})
