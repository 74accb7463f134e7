"""How a migration runs: on the connection of whoever calls, or on DATABASE_URL from the command line."""

from __future__ import annotations

import os
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, Engine, create_engine, event, pool, text
from sqlalchemy.types import TypeDecorator
from sqlmodel import SQLModel

from service.store import tables  # noqa: F401  fills SQLModel.metadata

MIGRATION_LOCK = 0x676F6E67  # "gong": one number for everybody who migrates this service's database


def render_item(kind: str, thing: Any, _autogenerate: AutogenContext) -> str | Literal[False]:
    """Write what a column holds, not our class for it: a migration must mean the same when that class is gone."""
    if kind == "type" and isinstance(thing, TypeDecorator):
        return f"sa.{thing.impl_instance!r}"
    return False


def migrate(connection: Connection) -> None:
    """Run what is missing, each migration in a transaction of its own: a crash leaves whole migrations only."""
    on_postgres = connection.dialect.name == "postgresql"
    if on_postgres:
        # Two processes that start at once would both run the same migration; the second waits here and finds it done.
        connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.commit()
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_item=render_item,
        render_as_batch=not on_postgres,  # SQLite cannot alter a table: alembic copies it. Triggers do not survive that
        transactional_ddl=True,  # both engines roll a CREATE TABLE back; alembic believes that SQLite does not
        transaction_per_migration=True,
        compare_type=True,
        compare_server_default=True,
    )
    try:
        with context.begin_transaction():
            context.run_migrations()
    finally:
        if on_postgres:
            connection.rollback()
            connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
            connection.commit()


def command_line_engine() -> Engine:
    """An engine on DATABASE_URL for the `alembic` command; `intervention migrate` brings its own connection."""
    if not (url := os.environ.get("DATABASE_URL")):
        raise SystemExit("Say which database: DATABASE_URL=sqlite:///data/gongduan.db alembic …")
    engine = create_engine(url, poolclass=pool.NullPool)
    if engine.dialect.name == "sqlite":
        hand_over_transactions(engine)
    return engine


def hand_over_transactions(engine: Engine) -> None:
    """Let SQLAlchemy say BEGIN: the driver's own way leaves CREATE TABLE outside the transaction."""

    @event.listens_for(engine, "connect")
    def _no_implicit_begin(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


if context.is_offline_mode():
    raise SystemExit("Offline SQL is not offered: some migrations move rows and need to see them.")
if given := context.config.attributes.get("connection"):
    migrate(given)
else:
    engine = command_line_engine()
    with engine.connect() as opened:
        migrate(opened)
    engine.dispose()
