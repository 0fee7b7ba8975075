"""The table of proofs says what was found equal to its source, and what to another table."""

from pathlib import Path

from cdc.core.proof import TableProof
from cdc.lake.verifications import Verifications
from tests.sql_catalog import sql_catalog


def test_tables_that_are_equal_to_each_other_were_taken_for_proved_against_the_source(tmp_path: Path) -> None:
    """Both may be wrong in the same way."""
    proofs = Verifications(sql_catalog(tmp_path), "cdc")
    assert proofs.newest() == {}
    proofs.write(TableProof("shop:public.t", "ns.t", position="0/1"))
    proofs.write(TableProof("lake:old.t", "ns.t", position="table snapshot 1 of ns.t and 2 of old.t"))
    assert proofs.newest()["ns.t"].position == "0/1"
    rows = sql_catalog(tmp_path).load_table(("cdc", "verifications")).scan().to_arrow().to_pylist()
    assert sorted((row["source"], row["equal"], row["duplicate"]) for row in rows) == [
        ("lake:old.t", True, 0),
        ("shop:public.t", True, 0),
    ]
