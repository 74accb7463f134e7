"""Append-only by triggers: nobody updates or deletes a line of a transcript, on either engine.

SQLite's `INSERT OR REPLACE` passes update and delete triggers unless `recursive_triggers` is on, so a BEFORE INSERT
trigger refuses a line that exists already (evidence.md section 4). Migrations call `create_triggers` again after any
batch operation, which drops them silently.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

APPEND_ONLY: Final = {
    "transcript_entry": ("dispute_id", "seq"),
    "disclosure": ("dispute_id", "seq", "position"),
    "rule_act": ("number",),
}
# A disclosure may be deleted only by the redaction path, which the Evidence issue adds; until then by nobody.


def statements(dialect: str) -> list[str]:
    """The DDL of all triggers for this dialect."""
    if dialect == "sqlite":
        return [s for table, key in APPEND_ONLY.items() for s in _sqlite(table, key)]
    return [_POSTGRES_FUNCTION] + [s for table in APPEND_ONLY for s in _postgres(table)]


def create_triggers(connection: Connection) -> None:
    """Make the triggers on a database that has the tables."""
    for statement in statements(connection.dialect.name):
        connection.exec_driver_sql(statement)


def _sqlite(table: str, key: tuple[str, ...]) -> list[str]:
    same = " AND ".join(f"{column} = NEW.{column}" for column in key)
    if table == "transcript_entry":
        same = f"({same}) OR hash = NEW.hash"
    abort = f"SELECT RAISE(ABORT, '{table} is append-only')"
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} BEGIN {abort}; END",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} BEGIN {abort}; END",
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}"
        f" WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) BEGIN {abort}; END",
    ]


# The doubled %% is one % once the driver has read the statement.
_POSTGRES_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
"""


def _postgres(table: str) -> list[str]:
    made = []
    for name, what in (("no_change", "BEFORE UPDATE OR DELETE"), ("no_truncate", "BEFORE TRUNCATE")):
        level = "ROW" if name == "no_change" else "STATEMENT"
        made.append(
            f"CREATE TRIGGER {table}_{name} {what} ON {table} FOR EACH {level} EXECUTE FUNCTION refuse_change()"
        )
        made.append(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_{name}")
    return made
