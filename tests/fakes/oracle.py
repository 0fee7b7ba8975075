"""An Oracle database that answers the statements of preflight from rows given here, through the driver's own calls."""

from typing import Any

from cdc.sources import oracle


class FakeOracle:
    """Stands for the module ``oracledb``: one table that is fit, until a test changes what is told of it."""

    class Error(Exception):
        """What the driver raises."""

    def __init__(self) -> None:
        self.server = {
            "log_mode": "ARCHIVELOG",
            "force_logging": "YES",
            "supplemental_log_data_min": "YES",
            "dbid": 7,
            "resetlogs": 1,
        }
        self.table = {"iot_type": None, "temporary": "N", "logging": "YES"}
        self.all_columns_logged = 1
        self.columns = {"ID": "number"}
        self.failure: str | None = None

    def connect(self, **_: Any) -> "FakeOracle":
        """Return the connection, which is this."""
        if self.failure is not None:
            raise self.Error(Code(self.failure))
        return self

    def cursor(self) -> "FakeOracle":
        """Return the cursor, which is this."""
        return self

    def __enter__(self) -> "FakeOracle":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, statement: str, _values: dict[str, object]) -> None:
        """Answer one of the statements of preflight."""
        answers: dict[str, list[dict[str, Any]]] = {
            oracle.SERVER: [{**self.server, "current_scn": 9_007_199_254_740_993}],
            oracle.TABLE: [self.table],
            oracle.SUPPLEMENTAL: [{"log_groups": self.all_columns_logged}],
            oracle.UNIQUE_KEYS: [{"name": "PK", "columns": "ID"}],
            oracle.COLUMNS: [
                {"name": name, "type": kind, "nullable": "N", "virtual_column": "NO", "filled": "N"}
                for name, kind in self.columns.items()
            ],
        }
        self._rows = answers[statement]

    @property
    def description(self) -> list[tuple[str]]:
        """Return the names of the columns, in capitals as Oracle has them."""
        return [(name.upper(),) for name in self._rows[0]]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows of the last statement."""
        return [tuple(row.values()) for row in self._rows]


class Code:
    """An error of the driver, as far as its code goes."""

    def __init__(self, full_code: str) -> None:
        self.full_code = full_code

    def __str__(self) -> str:
        return f"{self.full_code}: no"
