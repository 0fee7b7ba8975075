"""Fitness: which tables the source lets go on, as its watch judges them while the pipeline runs."""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from cdc.core.errors import CdcError, PreflightError, TerminalError
from cdc.core.names import TableName
from cdc.core.preflight import Finding
from cdc.pipeline.control import Control
from cdc.pipeline.roster import Roster
from cdc.pipeline.table import TableSpec

RESET = "`cdc tables reset TABLE` loads it anew"


@dataclass
class Fitness:
    """Sets aside what is unfit and takes back what is no more; what may have missed changes stays out until a load.

    ``stop`` takes a table out for good, ``tell`` says that it rests: both with the error and the trouble's name.
    """

    roster: Roster
    control: Control
    stop: Callable[[TableSpec, CdcError, str], None]
    tell: Callable[[TableSpec, CdcError, str], None]
    _judged: deque[Mapping[str, Finding]] = field(default_factory=lambda: deque(maxlen=1))
    _told: dict[str, str] = field(default_factory=dict)
    _unmarked: dict[TableName, str] = field(default_factory=dict)

    def judge(self, unfit: Mapping[str, Finding]) -> None:
        """Note the tables that are unfit now, by topic; safe to call from any thread."""
        self._judged.append(unfit)

    def heed(self) -> bool:
        """Do as was judged last; return whether a table may take part again."""
        if not self._judged:
            return False
        unfit = self._judged.pop()
        for spec in self.roster.specs:
            if finding := unfit.get(spec.topic):
                self._set_aside(spec, finding)
        self._mark()
        self._told = {topic: name for topic, name in self._told.items() if topic in unfit}
        return bool(self.roster.judge(unfit))

    def _set_aside(self, spec: TableSpec, finding: Finding) -> None:
        if finding.gap and self._goes_on(spec, finding):
            self._told[spec.topic] = finding.name
            self._unmarked[spec.target] = finding.what
            hint = finding.hint if "cdc tables" in finding.hint else RESET  # what lets it in again
            self.stop(spec, TerminalError(finding.what, hint=hint), finding.name)
        elif spec.topic not in self.roster.stopped and self._told.get(spec.topic) != finding.name:
            self._told[spec.topic] = finding.name
            self.tell(spec, PreflightError(finding.what, hint=finding.hint), finding.name)

    def _goes_on(self, spec: TableSpec, finding: Finding) -> bool:
        """Return whether a table is read, or would be once more: one that rests, and has been told of nothing yet."""
        known = self.roster.memory.get(spec.topic)
        begun = known is not None and known.progress is not None and bool(known.progress.partitions)
        return spec.topic in self.roster.reading or (begun and self._told.get(spec.topic) != finding.name)

    def unmarked(self, spec: TableSpec) -> str:
        """Return why a table has to be loaded anew where that could not be written down yet; nothing if it has not."""
        return self._unmarked.get(spec.target, "")

    def _mark(self) -> None:
        """Mark stale tables where it outlives this process; the catalog may be away, and is asked again."""
        for target, why in list(self._unmarked.items()):
            with suppress(Exception):
                self.control.stale(target, why)
                del self._unmarked[target]
