"""``python -m tests.bench.load_copy STATEMENT``: COPY .. TO STDOUT through psycopg, thrown away; PG* say where."""

import sys

import psycopg


def main() -> None:
    """Read all of it."""
    with psycopg.connect("") as connection, connection.cursor() as cursor, cursor.copy(sys.argv[1].encode()) as copy:
        while copy.read():
            pass


if __name__ == "__main__":
    main()
