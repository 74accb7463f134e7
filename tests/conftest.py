"""What every test can ask for: a fresh database on either engine, and a marketplace in it, told or asked over HTTP."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import URL, Engine, create_engine, text

from tests.postgres_server import postgres_server

if TYPE_CHECKING:
    from tests.over_http import HttpWorld
    from tests.world import World

pytest_plugins = ["tests.proofs", "tests.edge_app"]  # sizes, seeds and figures of the long proofs; a bare edge
LONG_FILES = {"test_contract", "test_permissions", "test_edge_over_http", "test_publish_rules"}  # 40 s and more of work

# --- databases -------------------------------------------------------------------------------------------------------
# Each worker of pytest-xdist makes one SQLite file and one PostgreSQL database with the whole schema, once; a test gets
# a copy. PostgreSQL starts with the first test that wants it.

NewDatabase = Callable[[], str]
DATABASES = f"gongduan_test_{os.getpid()}"  # TEST_PG_URL may name a server that other workers and runs use too


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of long proofs and other long ones first: with two workers the last one to begin should be short."""
    long = {item.path for item in items if item.get_closest_marker("long") or item.get_closest_marker("chaos")}
    items.sort(key=lambda item: item.path not in long and item.path.stem not in LONG_FILES)


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """The maintenance database of this worker's throw-away PostgreSQL, or of the server TEST_PG_URL names."""
    with postgres_server() as address:
        yield address
        maintenance(address).dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the whole schema and no row."""
    template = tmp_path_factory.mktemp("sqlite") / "template.db"
    create_all(create_engine(f"sqlite:///{template}"))
    return template


@pytest.fixture(scope="session")
def postgres_template(postgres: URL) -> Iterator[str]:
    """The name of a PostgreSQL database with the whole schema and no row, which nobody may stay connected to."""
    name = f"{DATABASES}_template"
    statements(postgres, f'drop database if exists "{name}" with (force)', f'create database "{name}"')
    create_all(create_engine(postgres.set(database=name)))
    yield name
    statements(postgres, f'drop database "{name}" with (force)')


@pytest.fixture
def new_sqlite(sqlite_template: Path, tmp_path: Path) -> NewDatabase:
    """Makes the address of one more SQLite database with every call."""
    numbers = itertools.count(1)

    def new() -> str:
        copy = tmp_path / f"gongduan-{next(numbers)}.db"
        shutil.copyfile(sqlite_template, copy)
        return f"sqlite:///{copy}"

    return new


@pytest.fixture
def new_postgres(postgres: URL, postgres_template: str) -> Iterator[NewDatabase]:
    """Makes the address of one more PostgreSQL database with every call; all are dropped after the test."""
    made: list[str] = []

    def new() -> str:
        name = f"{DATABASES}_{len(made) + 1}"
        statements(
            postgres,
            f'drop database if exists "{name}" with (force)',
            f'create database "{name}" template "{postgres_template}"',
        )
        made.append(name)
        return postgres.set(database=name).render_as_string(hide_password=False)

    yield new
    statements(postgres, *(f'drop database "{name}" with (force)' for name in made))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def new_database(request: pytest.FixtureRequest) -> NewDatabase:
    """Makes fresh databases; the test runs once on SQLite and once on PostgreSQL."""
    new: NewDatabase = request.getfixturevalue(f"new_{request.param}")
    return new


@pytest.fixture
def database(new_database: NewDatabase) -> str:
    """The address of one fresh database with the whole schema, on SQLite and then on PostgreSQL."""
    return new_database()


@pytest.fixture
def new_empty_sqlite(tmp_path: Path) -> NewDatabase:
    """Makes the address of one more SQLite database without any table."""
    numbers = itertools.count(1)
    return lambda: f"sqlite:///{tmp_path / f'empty-{next(numbers)}.db'}"


@pytest.fixture
def new_empty_postgres(postgres: URL) -> Iterator[NewDatabase]:
    """Makes the address of one more PostgreSQL database without any table; all are dropped after the test."""
    made: list[str] = []

    def new() -> str:
        name = f"{DATABASES}_empty_{len(made) + 1}"
        statements(postgres, f'create database "{name}"')
        made.append(name)
        return postgres.set(database=name).render_as_string(hide_password=False)

    yield new
    statements(postgres, *(f'drop database "{name}" with (force)' for name in made))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def new_empty_database(request: pytest.FixtureRequest) -> NewDatabase:
    """Makes databases without any table, on SQLite and then on PostgreSQL: for migrations."""
    new: NewDatabase = request.getfixturevalue(f"new_empty_{request.param}")
    return new


def create_all(engine: Engine) -> None:
    """Create every table and trigger as the code says; test_schema.py proves that the migrations make the same."""
    from service.store.engine import create_schema

    create_schema(engine)
    engine.dispose()


def statements(address: URL, *lines: str) -> None:
    """Run statements that cannot stand in a transaction, such as `create database`."""
    with maintenance(address).connect() as connection:
        for line in lines:
            connection.execute(text(line))


@cache
def maintenance(address: URL) -> Engine:
    """One connection for all databases that are made and dropped."""
    return create_engine(address, isolation_level="AUTOCOMMIT")


# --- marketplaces ----------------------------------------------------------------------------------------------------


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    """A shop on a fresh database, on SQLite and then on PostgreSQL; stories run in it as anybody."""
    from tests.world import new_world  # most tests of single rules need no story

    with new_world(database, tmp_path) as made:
        yield made


@pytest.fixture
def http(database: str, tmp_path: Path) -> Iterator[HttpWorld]:
    """The whole service with the demo's shops, asked over HTTP, on SQLite and then on PostgreSQL."""
    from tests.over_http import new_http_world

    with new_http_world(database, tmp_path) as made:
        yield made
