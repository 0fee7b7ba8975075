"""The master of a standalone cluster, asked before a JVM is started for it: Spark itself would try for a minute."""

import socket

from cdc.core.errors import PreflightError

_STANDALONE = "spark://"
_SECONDS = 5.0


def require_master(master: str) -> str:
    """Return the address of a standalone master that answers, nothing for other kinds; raises PreflightError."""
    if not master.startswith(_STANDALONE):
        return ""
    addresses = master.removeprefix(_STANDALONE).split(",")
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), _SECONDS):
                return address
        except (OSError, ValueError):
            continue
    raise PreflightError(
        f"Spark's master does not answer at {' or '.join(addresses)}",
        hint="spark.master (CDC_SPARK__MASTER) is spark://HOST:PORT as the master's own page shows it",
    )
