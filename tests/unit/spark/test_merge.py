import pytest

from cdc.core.positions import LAYOUTS
from cdc.spark.merge import KeyBounds, merge_sql, truncate_sql


def test_merge_of_a_postgres_table() -> None:
    """The whole statement: what it says is what the order and the fences rest on."""
    sql = merge_sql("`lake`.`ns`.`t`.branch_cdc", "changes", ["id"], ["id", "odd `name"], LAYOUTS["postgres"], None)
    newer = "left(s.position, 44) > left(t._cdc_position, 44)"
    operation = (
        "CASE WHEN NOT s.folded AND s.operation = 'u' AND t._cdc_op = 'm' AND "
        "left(t._cdc_position, 25) = left(s.position, 25) "
        "THEN 'm' ELSE s.operation END"
    )
    assert sql == (
        "MERGE INTO `lake`.`ns`.`t`.branch_cdc t USING changes s ON t.`id` = s.k.`id` "
        f"WHEN MATCHED AND {newer} AND s.deleted THEN DELETE "
        f"WHEN MATCHED AND {newer} THEN UPDATE SET t.`odd ``name` = s.v.`odd ``name`, "
        f"t.`_cdc_position` = s.position, t.`_cdc_op` = {operation}, t.`_cdc_source_ts` = s.source_ts, "
        "t.`_cdc_committed_at` = s.committed_at "
        "WHEN NOT MATCHED AND NOT s.deleted AND left(s.position, 44) > left(s.floor, 44) "
        "THEN INSERT (`id`, `odd ``name`, `_cdc_position`, `_cdc_op`, `_cdc_source_ts`, `_cdc_committed_at`) "
        "VALUES (s.v.`id`, s.v.`odd ``name`, s.position, s.operation, s.source_ts, s.committed_at)"
    )


def test_offsets_order_changes_in_mysql_only() -> None:
    """M12."""
    sql = merge_sql("t", "s", ["id"], ["id"], LAYOUTS["mysql"], None)
    assert f"left(s.position, {LAYOUTS['mysql'].place_width + 17})" in sql


def test_a_composite_key_matches_on_all_its_columns() -> None:
    sql = merge_sql("t", "s", ["a", "b"], ["a", "b", "c"], LAYOUTS["oracle"], None)
    assert " ON t.`a` = s.k.`a` AND t.`b` = s.k.`b` WHEN" in sql
    assert "UPDATE SET t.`c` = s.v.`c`, t.`_cdc_position`" in sql


def test_bounds_of_the_key_prune_the_files() -> None:
    sql = merge_sql("t", "s", ["id"], ["id"], LAYOUTS["mysql"], KeyBounds("id", "3", "99"))
    assert " ON t.`id` = s.k.`id` AND t.`id` BETWEEN 3 AND 99 WHEN" in sql


def test_truncate_removes_what_is_below_its_place() -> None:
    assert truncate_sql("t.branch_cdc", "0-1-2") == "DELETE FROM t.branch_cdc WHERE _cdc_position < '0-1-2'"


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_impossible_columns_never_reach_the_statement(name: str) -> None:
    with pytest.raises(ValueError, match="not an identifier"):
        merge_sql("t", "s", ["id"], ["id", name], LAYOUTS["mysql"], None)
