"""Brings the database to the newest schema, and knows whether it is there."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import make_url

from service.settings import Settings
from service.store.engine import DatabaseHeld, hold, let_go, make_engine

ROOT = Path(__file__).parent.parent.parent


def run(settings: Settings) -> int:
    """Upgrade to the newest revision. On SQLite nobody may be serving meanwhile."""
    url = make_url(settings.database_url)
    try:
        lock = hold(url.database) if settings.embedded else None
    except DatabaseHeld as held:
        print(f"intervention: {held}: another process serves this file; stop it first", file=sys.stderr)
        return 2
    engine = make_engine(settings.database_url)
    try:
        with engine.connect() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
        let_go(lock)
    print(f"database {url.render_as_string(hide_password=True)} is at revision {_head()}")
    return 0


def is_current(settings: Settings) -> bool:
    """The database stands at the newest revision."""
    engine = make_engine(settings.database_url)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() == _head()
    finally:
        engine.dispose()


def _config() -> Config:
    return Config(toml_file=ROOT / "pyproject.toml")


def _head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()
