"""SQL filled in from a template."""

from cdc.core.setup import comment, filled

TEMPLATE = """\
-- How it is filled in.
-- More of it.

CREATE ROLE "${role}" PASSWORD '${password}';

-- The tables.
GRANT USAGE ON SCHEMA "${schema}" TO "${role}";
ALTER DEFAULT PRIVILEGES FOR ROLE "${owner}" IN SCHEMA "${schema}" GRANT SELECT ON TABLES TO "${role}";
"""


def test_statements_of_each_schema_are_there_once_for_each() -> None:
    each = [{"schema": "a", "owner": "x"}, {"schema": "a", "owner": "y"}]
    role, tables = filled(TEMPLATE, {"role": "r"}, each)
    assert role == """CREATE ROLE "r" PASSWORD '${password}';"""
    assert tables.splitlines() == [
        "-- The tables.",
        'GRANT USAGE ON SCHEMA "a" TO "r";',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "x" IN SCHEMA "a" GRANT SELECT ON TABLES TO "r";',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "y" IN SCHEMA "a" GRANT SELECT ON TABLES TO "r";',
    ]


def test_a_name_cannot_end_a_comment() -> None:
    assert comment("a\nDROP TABLE b;\r\u2028c") == "-- a DROP TABLE b; c"
