"""Which keys can be the key of a target; what the publication statement looks like."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from cdc.core.errors import ConfigError, PreflightError
from cdc.core.names import TableName
from cdc.core.preflight import (
    ENDS_CONNECTOR,
    Finding,
    SourceColumn,
    SourceTable,
    causes,
    check_connector_snapshot,
    check_generated,
    check_key,
    check_names,
    check_text,
    each_declared,
    of_table,
    unfit,
)
from cdc.pipeline.preflight import check_source, require_fit
from cdc.sources.oracle import STATEMENTS, OracleDatabase
from cdc.sources.postgres import publication_sql
from cdc.sources.postgres.findings import deadly
from tests.fakes.configuration import ORACLE, POSTGRES, configuration

SQL = Path(__file__).resolve().parents[3] / "sql" / "sources"


def table(*, unique=(("id",),), identity=("id",), **columns):
    declared = {"id": ("bigint", False, False), "name": ("text", True, False)} | columns
    return SourceTable(
        TableName("public", "t"),
        tuple(SourceColumn(name, *facts) for name, facts in declared.items()),
        frozenset(frozenset(key) for key in unique),
        None if identity is None else frozenset(identity),
    )


def names(findings):
    return [finding.name for finding in findings]


def test_text_that_names_no_array_is_told_with_the_column():
    arrays = table(m=("integer[]", True, False), grid=("integer[][]", True, False))
    assert check_text(arrays, ["m", "grid"]) == []
    found = check_text(arrays, ["name", "M"])
    assert names(found) == ["text_column", "text_column"]
    assert all(finding.fatal and finding.stops for finding in found)
    assert [finding.what for finding in found] == [
        "column 'name' of public.t, which `text` names, is text",
        "column 'M' of public.t, which `text` names, does not exist",
    ]


def test_a_table_that_is_not_there_is_not_said_to_be_unpublished_too():
    """The hint of the last finding was to publish what does not exist."""
    gone, keyless = TableName("s", "gone"), TableName("s", "keyless")
    found = [
        Finding("wal_level", "", ""),
        *of_table(gone, [Finding("not_published", "", "", gap=True), Finding("table_missing", "", "")]),
        *of_table(keyless, [Finding("not_published", "", "", gap=True), Finding("key_nullable", "", "")]),
    ]
    told = [(finding.table, finding.name) for finding in causes(found)]
    assert told == [
        (None, "wal_level"),
        (gone, "table_missing"),
        (keyless, "not_published"),
        (keyless, "key_nullable"),
    ]


def test_a_table_that_the_connector_is_not_told_of_is_not_said_to_be_left_out_too():
    padded, other = TableName("s", "padded"), TableName("s", "other")
    found = [
        *of_table(padded, [Finding("left_out", "", "", gap=True), Finding("zerofill", "", "")]),
        *of_table(other, [Finding("left_out", "", "", gap=True)]),
    ]
    assert [(finding.table, finding.name) for finding in causes(found)] == [(padded, "zerofill"), (other, "left_out")]


def test_the_primary_key_is_a_key():
    assert check_key(table(), ["id"]) == []


@pytest.mark.parametrize(
    ("declared", "key", "expected"),
    [
        (table(), ["ID"], ["key_missing"]),
        (table(unique=[("name",)], identity=None), ["name"], ["key_nullable"]),  # S10
        (table(id=("double precision", False, False)), ["id"], ["key_float"]),  # S11
        (table(id=("real", False, False)), ["id"], ["key_float"]),
        (table(id=("bigint", False, True)), ["id"], ["key_generated"]),
        (table(unique=()), ["id"], ["key_not_unique"]),  # P9
        (table(unique=[("id", "name")]), ["id"], ["key_not_unique"]),
        (table(identity=()), ["id"], ["key_not_in_identity"]),  # P7
        (table(identity=("other",)), ["id"], ["key_not_in_identity"]),  # P8
        (table(identity=None), ["id"], []),
    ],
)
def test_keys_that_cannot_be_kept_right_are_refused(declared, key, expected):
    """P7, P8, P9, S10, S11."""
    assert names(check_key(declared, key)) == expected


def test_names_that_a_connector_does_not_survive():
    """P67, T1, T2."""
    assert check_names(table()) == []
    (case,) = check_names(table(Name=("text", True, False)))
    assert (case.name, case.gap) == ("column_case", True)
    (broken,) = check_names(table()._replace(name=TableName("public", "a\nb")))
    assert broken.name in ENDS_CONNECTOR
    assert "\n" not in broken.what


def test_decimals_with_zerofill_end_the_snapshot_of_mysqls_connector():
    """The driver's array had a negative size, and the connector of all tables ended."""
    assert check_connector_snapshot(table(n=("decimal(8,2) unsigned", True, False))) == []
    (finding,) = check_connector_snapshot(table(n=("decimal(8,2) unsigned zerofill", True, False)))
    assert finding.name in ENDS_CONNECTOR
    assert "snapshot: load" in finding.hint


def test_a_published_table_that_ends_the_connector_is_the_sources_trouble():
    """Its first change ends the connector, whether it captures the table or not."""
    (finding,) = deadly("p", {("s", "t"): {"columns": ["a", "A"]}, ("s", "u"): {"columns": ["a", "b"]}})
    assert (finding.name, finding.table) == ("column_case", None)
    assert finding.hint == 'as the table\'s owner: ALTER PUBLICATION "p" DROP TABLE "s"."t"'


def test_the_hint_names_what_is_unique():
    (finding,) = check_key(table(unique=[("b", "a"), ("c",)]), ["id"])
    assert "(a, b) or (c)" in finding.hint


def test_generated_columns_are_left_out_and_named():
    """P38: they are in the snapshot and not in the log, and would go stale."""
    declared = table(gen=("int", True, True), other=("text", True, True))
    (remark,) = check_generated(declared, "")
    assert (remark.name, remark.fatal) == ("generated_column", False)
    assert "'gen', 'other'" in remark.what
    (remark,) = check_generated(declared, r"public\.t\.gen")
    assert "'gen'" not in remark.what
    assert check_generated(declared, r"public\.t\..*") == []


@pytest.mark.parametrize(
    ("declared", "hint"),
    [
        (table(unique=()), "add a primary key"),
        (table(unique=[("name",)]), "add a primary key"),
        (table(unique=[("id",), ("name",)]), "name one in `key` of the table: (id)"),
    ],
)
def test_a_table_without_a_key_is_unfit_and_says_what_to_do(declared, hint):
    (finding,) = check_key(declared, ())
    assert (finding.name, finding.fatal, finding.hint) == ("no_key", True, hint)


class FakeDatabase:
    def __init__(self, *findings):
        self._findings = findings

    def table(self, namespace, name):
        columns = [SourceColumn(c, "bigint", nullable=False, generated=False) for c in ("id", "Order No", "line")]
        keys = frozenset({frozenset({"id"}), frozenset({"Order No", "line"})})
        return SourceTable(TableName(namespace, name), tuple(columns), keys, None)

    def tables(self, names):
        return each_declared(names, lambda name: self.table(*name))

    def findings(self):
        return self._findings

    def position(self):
        return "0/1"


def test_fatal_findings_come_first():
    source = configuration(POSTGRES).sources[0]
    remark, error = Finding("b", "meh", "", fatal=False), Finding("a", "no", "do")
    assert check_source(source, FakeDatabase(remark, error)) == [error, remark]


def test_a_source_is_refused_by_what_concerns_all_of_it_and_a_table_alone_is_no_reason():
    source = configuration(POSTGRES).sources[0]
    first, second = (table.source for table in source.tables)
    remark, whole = Finding("b", "meh", "", fatal=False), Finding("a", "no", "do")
    of_first, of_second = (Finding("unlogged", f"{name} is", "", table=name) for name in (first, second))
    require_fit(source, [remark, of_first])
    for found, message in (
        ([of_first, whole, remark], r"source 'shop': no \(and 1 more\)"),
        ([of_first, of_second], rf"source 'shop': {first} is \(and 1 more\)"),
    ):
        with pytest.raises(PreflightError, match=message):
            require_fit(source, found)


def test_a_table_that_is_not_there_is_a_finding_of_its_own_like_its_key():
    """One table that was dropped refused the start of all."""
    source = configuration(POSTGRES).sources[0]
    missing, other = (table.source for table in source.tables)

    class Half(FakeDatabase):
        def table(self, namespace, name):
            if name == missing.table:
                raise PreflightError("it does not exist", hint="correct it")
            return super().table(namespace, name)._replace(unique_keys=frozenset())

    found = check_source(source, Half())
    assert found == [
        Finding("table_missing", "it does not exist", "correct it", table=missing),
        *(f for f in found if f.name == "key_not_unique"),
    ]
    assert [finding.table for finding in found] == [missing, other]
    assert unfit([*found, Finding("later", "", "", table=missing)]).keys() == {missing, other}
    assert unfit(found)[missing].name == "table_missing"


def test_the_publication_names_the_tables_and_only_quotes():
    """P16."""
    source = configuration(POSTGRES | {"tables": [*POSTGRES["tables"], {"source": 's."a""b"', "key": ["id"]}]}).sources[
        0
    ]
    (statement,) = [line for line in publication_sql(source).splitlines() if line and not line.startswith("--")]
    assert statement == (
        'CREATE PUBLICATION "cdc_shop" FOR TABLE "public"."customers", "public"."Order. Items", "s"."a""b" '
        "WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true);"
    )


def test_a_table_without_a_key_in_the_publication_could_not_be_updated_by_its_application():
    def statement(*tables):
        text = publication_sql(configuration(POSTGRES | {"tables": list(tables)}).sources[0])
        return next(line for line in text.splitlines() if line.startswith("CREATE"))

    keyed, keyless = {"source": "public.a", "key": ["id"]}, {"source": "public.b"}
    assert 'FOR TABLE "public"."a" WITH' in statement(keyed, keyless)
    assert 'CREATE PUBLICATION "cdc_shop" WITH (' in statement(keyless)  # for tables that come later


@pytest.mark.parametrize("path", sorted(SQL.rglob("setup.sql")) + sorted(SQL.rglob("tables.sql")), ids=str)
def test_setup_scripts_are_one_statement_per_line_end_and_grant_no_right_to_write(path):
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("--")]
    assert all(line.endswith(";") for line in lines)
    assert all(re.match(r"(CREATE (ROLE|USER)|ALTER|GRANT) ", line) for line in lines)
    # A value put into a comment could end it with a newline.
    assert not [line for line in text.splitlines() if line.startswith("--") and "${" in line]
    granted = [re.split(r" ON | TO ", line)[0] for line in lines if line.startswith("GRANT")]
    forbidden = r"\b(ALL|INSERT|UPDATE|DELETE|DROP|SUPER|SUPERUSER|ANY|DBA)\b"
    assert not [grant for grant in granted if re.search(forbidden, grant)]


def test_oracle_statements_bind_their_values():
    for statement in STATEMENTS:
        assert re.fullmatch(r"\s*SELECT .*", statement, re.DOTALL)
        assert "'" not in re.sub(r"'[A-Z ,]*'", "", statement)


def test_oracle_without_its_driver_says_so():
    if find_spec("oracledb"):
        pytest.skip("the driver is installed")
    with pytest.raises(ConfigError, match="driver is not installed"):
        OracleDatabase(configuration(ORACLE).sources[0]).position()
