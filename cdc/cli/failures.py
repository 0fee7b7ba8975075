"""What a command says when it fails: one sentence with the next step, also for what nobody has foreseen."""

import os
import tempfile
import traceback
from contextlib import suppress

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from cdc.core.errors import CdcError, TerminalError
from cdc.lake.foreign import meaning
from cdc.lake.java import java_causes, java_meaning


def explained(error: Exception) -> CdcError:
    """Return the error that is told: known ones as they are, those of other systems in our words, else where to look.

    Messages of errors that nobody knows may hold rows or secrets, so they are not told but kept in a file.
    """
    if isinstance(error, CdcError):
        return error
    if isinstance(error, OSError) and error.filename is not None:
        what = f"{error.strerror or type(error).__name__}: {error.filename}"
        return TerminalError(what, hint="check the path and the rights on it; `cdc doctor` tries what is configured")
    if isinstance(error, (Py4JError, PySparkException)):
        return _of_spark(error)
    return meaning("finish", error) or TerminalError(f"unexpected {type(error).__name__}", hint=_report(error))


def _of_spark(error: Exception) -> CdcError:
    known = java_meaning("finish", error)
    if known is not None:
        return known
    names = [name.rpartition(".")[2] for name, _ in java_causes(error)] or [type(error).__name__]
    return TerminalError(f"Spark failed: {', caused by '.join(names[-3:])}", hint=f"`cdc doctor`; {_report(error)}")


def _report(error: Exception) -> str:
    """Keep the traceback in a file that only this user can read."""
    with suppress(OSError):
        handle, path = tempfile.mkstemp(prefix="cdc-", suffix=".traceback")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
        return f"this is a bug: please report {path}, which may hold rows and addresses"
    return "this is a bug: please report it, with the command"
