"""The database that the migrations make is the one that the tables say, on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from tests.conftest import NewDatabase
from tests.schema_snapshot import Snapshot, differences, plain, snapshot

ROOT = Path(__file__).parent.parent

TABLE = (
    "create table ticket (id bigint primary key, state varchar(8) not null "
    "constraint ck_state check (state in ('open', 'a, (b')), closed_at text)"
)
INDEX = "create unique index uq_open on ticket (state) where closed_at is null"
TRIGGER = {
    "sqlite": ["create trigger keep before delete on ticket begin select raise(abort, 'kept'); end"],
    "postgresql": [
        "create function refuse() returns trigger language plpgsql as $$ begin raise 'kept'; end $$",
        "create trigger keep before delete on ticket for each row execute function refuse()",
    ],
}
# What `alembic check` does not see, and some that it does: the words to replace in the statements above, and by what.
CHANGES = {
    "an enum state more": ("'open'", "'open', 'shut'"),
    "a comma in a state": ("'a, (b'", "'a,(b'"),
    "another check": ("state in", "length(state) > 1 and state in"),
    "another length": ("varchar(8)", "varchar(9)"),
    "a column that may be empty": ("not null ", ""),
    "another partial index": ("closed_at is null", "closed_at is not null"),
    "an index that is not unique": ("create unique index", "create index"),
    "a trigger that says something else": ("'kept'", "'held'"),
    "a trigger at another moment": ("before delete", "before update"),
    "a column more": ("closed_at text", "closed_at text, due_at text"),
}


def small_schema(url: str, *, replace: tuple[str, str] = ("", "")) -> Snapshot:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in [TABLE, INDEX, *TRIGGER[connection.dialect.name]]:
            connection.execute(text(statement.replace(*replace) if replace[0] else statement))
        seen = snapshot(connection)
    engine.dispose()
    return seen


def migrate(url: str, *, to: str) -> Snapshot:
    config = Config(toml_file=str(ROOT / "pyproject.toml"))
    engine = create_engine(url)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        if to == "base":
            command.downgrade(config, to)
        else:
            command.upgrade(config, to)
        connection.commit()
        seen = snapshot(connection)
    engine.dispose()
    return seen


def created(url: str) -> Snapshot:
    engine = create_engine(url)
    with engine.connect() as connection:
        seen = snapshot(connection)
    engine.dispose()
    return seen


def test_the_migrations_make_the_very_schema_of_the_tables(
    new_empty_database: NewDatabase, request: pytest.FixtureRequest
) -> None:
    """Checks, enum states, partial indexes and triggers included, of which `alembic check` sees nothing."""
    engine_name = request.node.callspec.params["new_empty_database"]
    said: NewDatabase = request.getfixturevalue(f"new_{engine_name}")

    by_migrations = migrate(new_empty_database(), to="head")
    by_tables = created(said())

    assert differences(by_migrations, by_tables) == []
    assert len(by_migrations) > 50, "a snapshot this small has looked at the wrong schema"


def test_going_back_to_nothing_and_up_again_gives_the_same_schema(new_empty_database: NewDatabase) -> None:
    """A migration that cannot be taken back, or that leaves something behind, shows here."""
    url = new_empty_database()

    first = migrate(url, to="head")
    nothing = migrate(url, to="base")
    second = migrate(url, to="head")

    assert nothing == {}
    assert differences(first, second) == []


@pytest.mark.parametrize("what", CHANGES)
def test_the_comparison_sees(what: str, new_empty_database: NewDatabase) -> None:
    """A comparison that is blind to one of these would let a wrong migration pass."""
    one = small_schema(new_empty_database())

    other = small_schema(new_empty_database(), replace=CHANGES[what])

    assert differences(one, other) != []


def test_the_same_statements_with_other_spacing_and_quotes_are_no_difference(new_empty_database: NewDatabase) -> None:
    """Alembic's copy of a table on SQLite is laid out differently from SQLAlchemy's own statement."""
    one = small_schema(new_empty_database())

    other = small_schema(new_empty_database(), replace=("create table ticket (id", 'create table  "ticket" ( "id"'))

    assert differences(one, other) == []


def test_spacing_inside_a_text_is_a_difference() -> None:
    """A check on the state 'a,  b' is another one than on 'a, b'."""
    assert plain("check ( x = 'a,  b' )") == "check(x = 'a,  b')"
    assert plain("check (x = 'it''s ( \"a\" )')") == "check(x = 'it''s ( \"a\" )')"


def test_a_column_added_at_the_end_equals_one_written_in_its_place(new_empty_sqlite: NewDatabase) -> None:
    """SQLite appends an added column behind the constraints; the rows it allows are the same."""
    added, written = create_engine(new_empty_sqlite()), create_engine(new_empty_sqlite())
    with added.begin() as connection:
        connection.execute(text("create table seat (id integer not null, constraint pk_seat primary key (id))"))
        connection.execute(text("alter table seat add column name text"))
        one = snapshot(connection)

    with written.begin() as connection:
        connection.execute(
            text("create table seat (id integer not null, name text, constraint pk_seat primary key (id))")
        )
        other = snapshot(connection)

    assert differences(one, other) == []
    added.dispose()
    written.dispose()
