"""The sections of a first configuration that stand for the servers of the embedded stack."""

from pathlib import Path

from cdc.core.errors import PreflightError
from cdc.core.names import lake_part
from cdc.local.connect import FILES
from cdc.local.stack import SECRETS, LocalStack
from cdc.local.state import keep_secret, read_secrets


def stack_services(stack: LocalStack) -> dict[str, dict[str, object]]:
    """Return the sections for the stack's Kafka, registry, Connect and catalog; raises PreflightError if it is down."""
    if not stack.status():
        raise PreflightError(f'stack "{stack.name}" is down', hint=f"cdc local up --name {stack.name}")
    at = stack.addresses()
    return {
        "kafka": {"bootstrap_servers": at.kafka},
        "registry": {"url": at.registry},
        "connect": {"url": at.connect},
        "catalog": {
            "type": "jdbc",
            "uri": at.catalog_uri,
            "username": "catalog",
            "password": f"${{file:{catalog_password(stack)}}}",
            "warehouse": str(at.warehouse),
        },
        "stream": {"checkpoint": str(at.checkpoint)},
        "operations": {"log_format": "console"},
    }


def catalog_password(stack: LocalStack) -> Path:
    """Return the file that holds the password of the stack's catalog."""
    return stack.folder / "secrets" / "catalog"


def role_password(stack: LocalStack, role: str) -> Path:
    """Return the file that holds the password of a role that captures; the stack's connectors may read it too."""
    return stack.folder / "connect" / FILES / lake_part(role)


def keep_passwords(stack: LocalStack, role: str) -> None:
    """Write both files, the role's with a password made up now unless it is there already."""
    keep_secret(catalog_password(stack), read_secrets(stack.folder, SECRETS)["catalog"])
    keep_secret(role_password(stack, role))
