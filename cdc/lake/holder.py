"""Who holds the lease of a pipeline, and how its table says so; read here without Spark."""

import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

HOLDER, BEAT = "cdc.holder", "cdc.beat"


@dataclass(frozen=True)
class Holder:
    """Who holds a lease: enough to tell an operator, and to see that a process of this machine is gone."""

    instance: str
    host: str
    boot: str
    process: int
    started: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} (instance {self.instance[:8]})"

    def to_json(self) -> str:
        """Return the form in which the lease bears it."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> "Holder | None":
        """Return the holder that ``to_json`` wrote; nothing stands for nobody."""
        return cls(**json.loads(text)) if text else None

    def gone(self) -> bool:
        """Return whether the holder was a process of this very boot of this machine and is no more."""
        return self.boot == _boot() and _started(self.process) != self.started


def this_process() -> Holder:
    """Return the description of this process."""
    process = os.getpid()
    return Holder(str(uuid.uuid4()), socket.gethostname(), _boot(), process, _started(process))


def _boot() -> str:
    # Containers of one machine share the boot id but not the process ids.
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + namespace
    except OSError:
        return socket.gethostname()


def _started(process: int) -> str:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


class LeaseSeen(NamedTuple):
    """A lease as it was read: the holder, None if it was given back; the last sign of life, by the holder's clock."""

    holder: Holder | None
    beat_at: datetime | None

    def alive(self, ttl: float, now: datetime) -> bool:
        """Return whether the holder is at work, as far as can be told: clocks of machines may differ."""
        if self.holder is None or self.beat_at is None or self.holder.gone():
            return False
        return (now - self.beat_at).total_seconds() <= ttl


def table_of(pipeline: str) -> str:
    """Return the name of a pipeline's lease in the metadata namespace."""
    return f"lease_{pipeline}"


def read_lease(catalog: Catalog, namespace: str, pipeline: str) -> LeaseSeen:
    """Return how the lease of a pipeline stands; of one that never ran there is nothing to tell."""
    try:
        table = catalog.load_table((namespace, table_of(pipeline)))
    except NoSuchTableError:
        return LeaseSeen(None, None)
    snapshot = table.current_snapshot()
    if snapshot is None:
        return LeaseSeen(None, None)
    text = snapshot.summary.additional_properties.get(HOLDER, "") if snapshot.summary else ""
    beat_at = datetime.fromtimestamp(table.metadata.last_updated_ms / 1000, UTC)
    return LeaseSeen(Holder.of(text), beat_at)
