"""Runs one command and writes down what it used: ``python -m tests.bench.load_child REPORT COMMAND ..``.

Processes that the command leaves behind (a JVM outlives the Python that started it) come to this one, so the kernel's
own sums of processor time are whole: each process reports itself and the children that it waited for.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Run the command, wait for everything, report; the exit code is the command's."""
    report, command = Path(sys.argv[1]), sys.argv[2:]
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    began = time.monotonic()
    child = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child.pid, signal.SIGTERM))
    seconds = cpu = 0.0
    while (ended := _next()) is not None:
        pid, status, spent = ended
        cpu += spent
        if pid == child.pid:
            child.returncode, seconds = os.waitstatus_to_exitcode(status), time.monotonic() - began
    report.write_text(json.dumps({"began": began, "seconds": seconds, "cpu_seconds": cpu, "code": child.returncode}))
    sys.exit(0 if child.returncode == 0 else 1)


def _next() -> tuple[int, int, float] | None:
    """Return the next process that ends, with its processor seconds, or None when there is none left."""
    try:
        pid, status, usage = os.wait4(-1, 0)
    except ChildProcessError:
        return None
    return pid, status, usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
