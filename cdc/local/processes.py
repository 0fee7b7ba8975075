"""Child processes: start them detached, know them again, and stop them for certain."""

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cdc.local.places import as_root

MARK = "CDC_LOCAL_SERVER"
"""Environment variable of every server; finds one whose start was interrupted before it was written down."""
PREPARING = "preparing"
"""Name in the mark of commands that prepare a server, such as initdb."""

_UNPRIVILEGED = "nobody"
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Launch:
    """How to start a server: its command, working folder, and whether it must not run as root."""

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    unprivileged: bool = False


@dataclass(frozen=True)
class ProcessId:
    """A process, told from a later one with the same number by when it started (clock ticks since boot)."""

    pid: int
    started: int


def start(launch: Launch, log: Path, mark: str) -> ProcessId:
    """Start a server in a session of its own, output to the log; what it writes is readable to its user alone."""
    owner = unprivileged_user() if launch.unprivileged else None
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(launch.folder), **launch.environment, MARK: mark}
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 - our own command
            list(launch.command),
            cwd=launch.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
        )
    _children[child.pid] = child
    return ProcessId(child.pid, _started(child.pid) or 0)


def run(launch: Launch, log: Path) -> int:
    """Run a preparing command to its end, output appended to the log, and return its exit code."""
    process = start(launch, log, f"{launch.folder.parent}:{PREPARING}")
    try:
        return _children[process.pid].wait(timeout=120)
    except BaseException:
        stop([process], signal.SIGKILL, 0)
        raise


def unprivileged_user() -> pwd.struct_passwd | None:
    """Return the user that databases run as, or None when the caller is not root and needs no other."""
    return pwd.getpwnam(_UNPRIVILEGED) if as_root() else None


def own(path: Path) -> None:
    """Give a folder (made if it is not there) or file to the user that databases run as, closed to others."""
    if not path.exists():
        path.mkdir(parents=True)
    path.chmod(0o700 if path.is_dir() else 0o600)
    if (owner := unprivileged_user()) is not None:
        os.chown(path, owner.pw_uid, owner.pw_gid)


def alive(process: ProcessId) -> bool:
    """Return whether exactly this process still runs; a number that was reused is another process."""
    child = _children.get(process.pid)
    if child is not None and child.poll() is not None:
        return False
    return process.started != 0 and _started(process.pid) == process.started


def stop(processes: Sequence[ProcessId], how: signal.Signals, seconds: float) -> None:
    """Ask all of them to stop, wait together, and kill what is left with its whole session."""
    _send(processes, how)
    wait(lambda: not any(map(alive, processes)), seconds)
    left = [process for process in processes if alive(process)]
    _send(left, signal.SIGKILL)
    wait(lambda: not any(map(alive, left)), 10)


def _send(processes: Sequence[ProcessId], how: signal.Signals) -> None:
    """Send a signal; what kills goes to the whole session, since children cannot be asked to end by their parent."""
    for process in processes:
        if alive(process):
            with suppress(ProcessLookupError):
                (os.killpg if how == signal.SIGKILL else os.kill)(process.pid, how)


def wait(condition: Callable[[], bool], seconds: float, every: float = 0.1) -> bool:
    """Wait until the condition holds; return whether it did before the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every)
    return True


def marked(prefix: str) -> Iterator[tuple[str, ProcessId]]:
    """Yield every running process whose mark begins with ``prefix`` and the rest of its mark, without its children."""
    wanted = f"\0{MARK}={prefix}".encode()
    found: dict[int, tuple[int, str, ProcessId]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        _, matches, after = (b"\0" + _read(entry / "environ")).partition(wanted)
        pid = int(entry.name)
        if matches and (numbers := _numbers(pid)):
            found[pid] = numbers[0], after.partition(b"\0")[0].decode(), ProcessId(pid, numbers[1])
    yield from ((name, process) for parent, name, process in found.values() if parent not in found)


def _started(pid: int) -> int | None:
    numbers = _numbers(pid)
    return numbers[1] if numbers else None


def _numbers(pid: int) -> tuple[int, int] | None:
    """Return the parent and the start of a process, or None if it has ended; fields 4 and 22 of /proc/PID/stat."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()
    return (int(fields[1]), int(fields[19])) if fields and fields[0] not in (b"Z", b"X") else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
