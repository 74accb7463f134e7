"""A PostgreSQL server for the tests, made in a second and thrown away."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url

HOW_TO_INSTALL = (
    "No PostgreSQL server binaries (initdb, postgres) found. Install them (Debian, Ubuntu: apt-get install postgresql; "
    "macOS: brew install postgresql), or say where they are with PG_BIN=/path/to/bin, or point TEST_PG_URL at a server "
    "of version 15 or later on which the tests may create databases."
)
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 20
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 4 * 2**30  # two workers' clusters, each with a log of up to 1 GiB; a container may have 64 MiB
ATTEMPTS = 3  # another process may take the free port between our looking and PostgreSQL's binding

# Durability is what a throw-away server does not need; everything that decides a query's result stays at its default.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "timezone": "UTC",
}
DURABLE = {**SETTINGS, "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def server_binaries() -> Path | None:
    """The directory of `initdb` and `postgres`: PG_BIN, then the newest Debian version, then the PATH."""
    candidates = [Path(os.environ["PG_BIN"])] if "PG_BIN" in os.environ else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    if on_path := shutil.which("initdb"):
        candidates.append(Path(on_path).resolve().parent)
    for candidate in candidates:
        if os.access(candidate / "initdb", os.X_OK) and os.access(candidate / "postgres", os.X_OK):
            return candidate
    return None


def require_server() -> None:
    """Say how to get a server, rather than let every test on PostgreSQL fail with the same words."""
    if "TEST_PG_URL" not in os.environ and server_binaries() is None:
        raise SystemExit(HOW_TO_INSTALL)


def _version(binaries: Path) -> float:
    number = re.match(r"\d+(\.\d+)?", binaries.parent.name)
    return float(number.group()) if number else 0.0


@contextlib.contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[URL]:
    """Start a server, or borrow the one TEST_PG_URL names; stop and delete what was started.

    Args:
        durable: commits reach the disk, for what is measured; tests do without.

    Yields:
        the address of its maintenance database, for the psycopg driver.

    Raises:
        RuntimeError: no binaries, or the server did not start; the text says what to do.
    """
    if borrowed := os.environ.get("TEST_PG_URL"):
        yield make_url(borrowed).set(drivername="postgresql+psycopg")
        return
    binaries = server_binaries()
    if binaries is None:
        raise RuntimeError(HOW_TO_INSTALL)
    with _private_directory(None if durable else _memory()) as (directory, user):
        _create_cluster(binaries, directory, user)
        server, port = _start(binaries, directory, user, DURABLE if durable else SETTINGS)
        try:
            yield URL.create("postgresql+psycopg", "postgres", host="127.0.0.1", port=port, database="postgres")
        finally:
            _stop(server)


def _memory() -> Path | None:
    """Where files are made in memory, if there is room: a test's database is some 500 files, slow to make on a disk."""
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN
    return MEMORY if roomy else None


@contextlib.contextmanager
def _private_directory(where: Path | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A directory for one cluster, and the Popen arguments that drop root: PostgreSQL refuses to run as root."""
    directory = Path(tempfile.mkdtemp(prefix="gongduan-pg-", dir=where))
    user: dict[str, Any] = {}
    try:
        if os.geteuid() == 0:
            names = {entry.pw_name: entry for entry in pwd.getpwall()}
            lesser = names.get("postgres") or names["nobody"]
            os.chown(directory, lesser.pw_uid, lesser.pw_gid)
            user = {"user": lesser.pw_uid, "group": lesser.pw_gid, "extra_groups": []}
        yield directory, user
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _create_cluster(binaries: Path, directory: Path, user: dict[str, Any]) -> None:
    command: list[str | Path] = [binaries / "initdb", "-D", directory / "cluster", "-U", "postgres", "-A", "trust"]
    command += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
    made = subprocess.run(command, cwd=directory, env=_environment(), capture_output=True, text=True, **user)
    if made.returncode != 0:
        raise RuntimeError(f"initdb failed: {made.stderr}")


def _start(
    binaries: Path, directory: Path, user: dict[str, Any], settings: dict[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    log = directory / "log"
    for _ in range(ATTEMPTS):
        port = _free_port()
        command: list[str | Path] = [binaries / "postgres", "-D", directory / "cluster", "-p", str(port)]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with log.open("wb") as sink:
            server = subprocess.Popen(
                command,
                cwd=directory,
                env=_environment(),
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for pytest, which then stops the server in order
                preexec_fn=_end_with_the_tests,
                **user,
            )
        if _answers(binaries, server, port):
            return server, port
        _stop(server)
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')}")


def _answers(binaries: Path, server: subprocess.Popen[bytes], port: int) -> bool:
    asked: list[str | Path] = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    give_up_at = time.monotonic() + START_SECONDS_MAX
    while server.poll() is None and time.monotonic() < give_up_at:
        if subprocess.run(asked, env=_environment()).returncode == 0:
            # Somebody else's server may answer on our port while ours is about to give up.
            return server.poll() is None
        time.sleep(0.05)
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGINT)  # "fast shutdown": ends sessions, leaves no process behind
    try:
        server.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _end_with_the_tests() -> None:
    """Ask Linux to stop the server when the tests are killed and cannot stop it themselves."""
    pr_set_pdeathsig = 1  # linux/prctl.h
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGINT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"}
