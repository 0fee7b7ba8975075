"""What an administrator of MySQL runs before a source is captured."""

import re
from pathlib import Path

from cdc.config.sources import MySqlSource
from cdc.core.setup import PASSWORD, comment, filled

_TEMPLATE = Path(__file__).resolve().parents[3] / "sql" / "sources" / "mysql" / "setup.sql"
_HEAD = "What MySQL has to have for the capture of source {}; an administrator runs it."


def setup_sql(source: MySqlSource) -> str:
    """Return statements for the mysql client, which is given the password as the variable ``@password`` before them."""
    values = {"role": source.user.replace("'", "''"), "database": _pattern(source.database)}
    paragraphs = filled(_TEMPLATE.read_text(encoding="utf-8"), values)
    return "\n\n".join([comment(_HEAD.format(source.name)), *map(_with_password, paragraphs)]) + "\n"


def _pattern(database: str) -> str:
    """Return a database's name inside backquotes as GRANT takes it: as a pattern."""
    return re.sub(r"([_%\\])", r"\\\1", database).replace("`", "``")


def _with_password(paragraph: str) -> str:
    """Return a paragraph whose statement takes the password from a variable, which only a prepared one may."""
    before, found, after = paragraph.partition(f"'{PASSWORD}'")
    if not found:
        return paragraph
    parts = (f"'{part.replace(chr(39), chr(39) * 2)}'" for part in (before, after.removesuffix(";")))
    text = ", QUOTE(@password), ".join(parts)
    return f"SET @statement = CONCAT({text});\nPREPARE made FROM @statement;\nEXECUTE made;\nDEALLOCATE PREPARE made;"
