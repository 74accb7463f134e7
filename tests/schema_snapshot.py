"""All that a database enforces, as comparable values: what `alembic check` cannot see included."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy import Connection, text

Thing = tuple[str, str, str]  # kind, table, name
Snapshot = dict[Thing, str]  # the definition of each thing, spacing and quotes apart
ALEMBIC_TABLE = "alembic_version"

POSTGRES_THINGS = """
select 'column', table_name, column_name,
       concat_ws(' ', data_type, character_maximum_length::text, numeric_precision::text, numeric_scale::text,
                 case is_nullable when 'NO' then 'not null' end, 'default ' || column_default,
                 'identity ' || identity_generation, 'generated ' || generation_expression,
                 'collate ' || collation_name)
  from information_schema.columns where table_schema = current_schema()
union all
select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
  from pg_constraint where connamespace = current_schema()::regnamespace and conrelid <> 0
union all
select 'index', tablename, indexname, indexdef from pg_indexes where schemaname = current_schema()
union all
select 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(pg_trigger.oid) || ' enabled ' || tgenabled::text
  from pg_trigger join pg_class on pg_class.oid = tgrelid
 where not tgisinternal and relnamespace = current_schema()::regnamespace
union all
select 'function', '', proname || '(' || pg_get_function_identity_arguments(pg_proc.oid) || ')',
       pg_get_functiondef(pg_proc.oid)
  from pg_proc where pronamespace = current_schema()::regnamespace and prokind = 'f'
union all
select 'view', viewname, '', definition from pg_views where schemaname = current_schema()
union all
select 'row security', relname, '', concat(relrowsecurity, relforcerowsecurity)
  from pg_class where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p')
union all
select 'policy', tablename, policyname, concat_ws(' ', permissive, roles::text, cmd, qual, with_check)
  from pg_policies where schemaname = current_schema()
union all
select 'enum', '', typname, string_agg(enumlabel, ',' order by enumsortorder)
  from pg_type join pg_enum on enumtypid = pg_type.oid
 where typnamespace = current_schema()::regnamespace group by typname
union all
select 'sequence', '', sequencename, concat_ws(' ', data_type, increment_by, cycle)
  from pg_sequences where schemaname = current_schema()
"""
SQLITE_THINGS = "select type, tbl_name, name, sql from sqlite_master where sql is not null and name not like 'sqlite_%'"


def snapshot(connection: Connection) -> Snapshot:
    """Everything in the database of this connection that decides what rows are possible."""
    if connection.dialect.name == "postgresql":
        rows = [(kind, table, name, plain(sql)) for kind, table, name, sql in connection.execute(text(POSTGRES_THINGS))]
    else:
        rows = list(_sqlite_things(connection))
    return {(kind, table, name): sql for kind, table, name, sql in rows if table != ALEMBIC_TABLE}


def differences(one: Snapshot, other: Snapshot) -> list[str]:
    """One line for each thing that the two do not share; none when they enforce the same."""
    things = sorted(one.keys() | other.keys())
    return [
        f"{' '.join(thing)}: {one.get(thing)} ≠ {other.get(thing)}"
        for thing in things
        if one.get(thing) != other.get(thing)
    ]


def plain(sql: str | None) -> str:
    """The statement without the quotes around simple names, with single spaces; texts in single quotes are kept."""
    parts = re.split(r"('(?:[^']|'')*')", sql or "")
    return "".join(part if index % 2 else _plain_outside_texts(part) for index, part in enumerate(parts)).strip()


def _plain_outside_texts(part: str) -> str:
    unquoted = re.sub(r'"([a-z_][a-z0-9_]*)"', r"\1", part)
    spaced = re.sub(r"\s+", " ", unquoted)
    return re.sub(r"\s*([(),])\s*", r"\1", spaced)


def _sqlite_things(connection: Connection) -> Iterator[tuple[str, str, str, str]]:
    """SQLite keeps the text of each statement; a table's is taken apart, since a migration adds columns at its end."""
    for kind, table, name, sql in connection.execute(text(SQLITE_THINGS)):
        if kind != "table":
            yield kind, table, name, plain(sql)
            continue
        for number, (part, options) in enumerate(_table_parts(plain(sql))):
            yield "part of table", table, _bare_default(part) or str(number), options


def _bare_default(part: str) -> str:
    """Alembic writes DEFAULT (false) where SQLAlchemy writes DEFAULT false."""
    return re.sub(r"DEFAULT\((\w+)\)", r"DEFAULT \1 ", part).strip()


def _table_parts(sql: str) -> Iterator[tuple[str, str]]:
    """Each column and constraint of a CREATE TABLE, then what stands behind the closing bracket (STRICT …)."""
    opening = sql.index("(")
    start, depth, in_text = opening + 1, 0, False
    for position in range(opening, len(sql)):
        letter = sql[position]
        in_text ^= letter == "'"
        if in_text:
            continue
        depth += (letter == "(") - (letter == ")")
        if (letter == "," and depth == 1) or (letter == ")" and depth == 0):
            yield sql[start:position].strip(), ""
            start = position + 1
        if depth == 0:
            break
    yield "options", sql[start:].strip()
