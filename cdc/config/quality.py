"""The ``quality`` of a table: its rules, as they are configured (docs/decisions/0037)."""

from typing import Self

from pydantic import Field, model_validator

from cdc.config.services import Section
from cdc.config.values import QualifiedName
from cdc.core.quality import Action, Reference, Rule


class ReferenceConfig(Section):
    """Columns of a row whose values some row of another target has."""

    columns: tuple[str, ...] = Field(min_length=1, description="Its columns; a row with NULL in one refers to none.")
    target: QualifiedName = Field(description="The other table in the lake, namespace.table.")
    key: tuple[str, ...] = Field((), description="Its columns, in the same order; by default they have the same names.")


class RowsConfig(Section):
    """How many rows a table has."""

    least: int | None = Field(None, ge=0, description="At least so many.", json_schema_extra={"unit": "rows"})
    most: int | None = Field(None, ge=0, description="At most so many.", json_schema_extra={"unit": "rows"})


class RuleConfig(Section):
    """One rule: a name, one of `check`, `unique`, `references` and `rows`, and what is done where it is broken."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="Its name in log, status, metrics and results.")
    check: str = Field(
        "",
        description="Predicate on the columns of a row in Spark's SQL, such as amount >= 0, email IS NOT NULL or "
        "state IN ('new', 'paid'). A row of which it says NULL holds.",
    )
    unique: tuple[str, ...] = Field((), description="Columns whose values no two rows share; NULL is shared by none.")
    references: ReferenceConfig | None = Field(None, description="Columns that refer to rows of another target.")
    rows: RowsConfig | None = Field(None, description="Bounds of the number of rows.")
    action: Action = Field(
        Action.WARN,
        description="stop, for a `check` only: a batch with rows that break it is not published, and the table stops.",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in ("check", "unique", "references", "rows") if getattr(self, kind)]
        if len(given) != 1:
            raise ValueError(f"rule {self.name!r} has to have one of check, unique, references and rows")
        if self.action is Action.STOP and not self.check:
            raise ValueError(f"rule {self.name!r} cannot stop: only a `check` can be judged before rows are published")
        if self.references and len(self.references.key or self.references.columns) != len(self.references.columns):
            raise ValueError(f"rule {self.name!r} has another number of columns than its key has")
        if self.rows and self.rows.least is None and self.rows.most is None:
            raise ValueError(f"rule {self.name!r} bounds nothing: give `least` or `most`")
        return self

    def rule(self) -> Rule:
        """Return the rule as the use cases know it."""
        other, rows = self.references, self.rows
        reference = Reference(other.columns, other.target, other.key or other.columns) if other else None
        bounds = (rows.least, rows.most) if rows else None
        return Rule(self.name, self.check, self.unique, reference, bounds, self.action)
