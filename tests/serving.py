"""Real server processes for the proofs that kill, race and stop them.

A process that serves takes seconds to import and to compile the rules. The *cradle* does that once and forks servers
on demand: each is `intervention serve` with its own memory, threads and connections, and dies of SIGKILL like any
other. Run as `python -m tests.serving` this file is the cradle.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any

from bench.wire import Wire, demo_token

HOST = "127.0.0.1"
READY_SECONDS_MAX = 120  # generous: the machine may be busy with other tests
ROOT = Path(__file__).parent.parent
ATTEMPTS = 3  # somebody else may take the free port between our looking and the server's binding


@dataclass
class Server:
    """One process that serves; its log is a file of JSON lines (and of what it prints first)."""

    pid: int
    port: int
    log: Path
    started_at: float = field(default_factory=time.monotonic)
    ready_seconds: float = 0.0  # from its start until it could be given work
    ended: bool = False  # once gone its number may be somebody else's

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    @property
    def alive(self) -> bool:
        """The process is there."""
        if not self.ended:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                self.ended = True
        return not self.ended

    def ready(self) -> float | None:
        """Wait until it may be given work; returns the seconds since its start, None if it died instead."""
        give_up_at = time.monotonic() + READY_SECONDS_MAX
        while self.alive and time.monotonic() < give_up_at:
            if self._says_ready() and self.alive:
                return time.monotonic() - self.started_at
            time.sleep(0.05)
        return None

    def _says_ready(self) -> bool:
        asked = HTTPConnection(HOST, self.port, timeout=10)
        try:
            asked.request("GET", "/health/ready")
            return asked.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            asked.close()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> float:
        """SIGTERM, and wait until it is gone; returns how many seconds that took."""
        began = time.monotonic()
        self._end(signal.SIGTERM)
        return time.monotonic() - began

    def signal(self, number: signal.Signals) -> None:
        """Send a signal and wait for nothing."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def gone(self, seconds_max: float = READY_SECONDS_MAX) -> bool:
        """Wait until the process is not there any more."""
        give_up_at = time.monotonic() + seconds_max
        while self.alive:
            if time.monotonic() > give_up_at:
                return False
            time.sleep(0.01)
        return True

    def _end(self, number: signal.Signals) -> None:
        self.signal(number)
        if not self.gone():
            self.signal(signal.SIGKILL)
            raise AssertionError(f"the server did not end of {number.name}: {self.log.read_text()[-2000:]}")

    def token(self, user: str) -> str:
        """A token of a demo user."""
        return asyncio.run(demo_token(HOST, self.port, user))

    def wire(self, token: str) -> Wire:
        """A connection of its own."""
        return Wire(HOST, self.port, token)


class Cradle:
    """The process that forks servers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = 0
        self._servers: list[Server] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.serving"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def serve(self, database_url: str, folder: Path, **more: str) -> Server:
        """Start a server on a migrated database and wait until it is ready."""
        for _ in range(ATTEMPTS):
            server = self.begin(database_url, folder, **more)
            if (seconds := server.ready()) is not None:
                server.ready_seconds = seconds
                return server
        raise AssertionError(f"the server did not start: {server.log.read_text()[-4000:]}")

    def begin(self, database_url: str, folder: Path, **more: str) -> Server:
        """Start a server and do not wait."""
        port = free_port()
        return self._fork({"environ": environment(database_url, folder, port) | more}, port)

    def play(self, part: str, *words: str) -> Server:
        """Let a forked process play a part, the name of a function `module:function` that takes words; do not wait."""
        return self._fork({"part": part, "words": words}, 0)

    def _fork(self, asked: dict[str, Any], port: int) -> Server:
        self._started += 1
        log = self._folder / f"process-{self._started}.log"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked | {"log": str(log)}).encode() + b"\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        self._servers.append(server := Server(pid, port, log))
        return server

    def close(self) -> None:
        """Kill whatever still serves and end."""
        for server in self._servers:
            server.signal(signal.SIGKILL)
            server.gone()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def cradle(folder: Path) -> Iterator[Cradle]:
    """A cradle, emptied in the end."""
    rocking = Cradle(folder)
    try:
        yield rocking
    finally:
        rocking.close()


@contextlib.contextmanager
def command(environ: Mapping[str, str], *words: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The real command `intervention` as a process of its own, killed in the end if it has not ended by itself.

    Args:
        environ: all it is told, beside the PATH.
        log: what it says goes here, its errors and log lines into the file of the same name with `.err`.
    """
    with log.open("wb") as said, log.with_suffix(".err").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", *words],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environ},
            stdout=said,
            stderr=errors,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def environment(database_url: str, folder: Path, port: int) -> dict[str, str]:
    """What a demo server needs to be told; servers of one folder share the demo's key, files and gateway."""
    return {
        "DATABASE_URL": database_url,
        "PORT": str(port),
        "DEMO": "1",
        "DEMO_KEY_PATH": str(folder / "demo-key.pem"),
        "FILES_DIR": str(folder / "files"),
        "RULES_DIR": str(ROOT / "rules"),
        "SHUTDOWN_SECONDS": "60",
    }


def migrated(database_url: str, folder: Path) -> str:
    """Bring an empty database to the newest schema, as an operator does."""
    from service.commands import migrate
    from service.settings import Settings

    assert migrate.run(Settings.from_env(environment(database_url, folder, 0))) == 0
    return database_url


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


# --- inside the cradle ----------------------------------------------------------------------------------------------


def rock(asked: IO[bytes], answers: IO[bytes]) -> None:
    """Fork a server for every line until there are no more lines."""
    from service import app

    for name in ("service.commands.serve", "uvicorn.loops.auto", "uvicorn.protocols.http.httptools_impl"):
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries dead servers
    app.load_rule_book = lru_cache(maxsize=4)(app.load_rule_book)
    book = app.load_rule_book(ROOT / "rules")
    for platform in book.profiles:
        book.for_platform(platform)
    for line in iter(asked.readline, b""):
        pid = os.fork()
        if pid == 0:
            _be_somebody(json.loads(line))
        answers.write(b"%d\n" % pid)
        answers.flush()


def _be_somebody(asked: Mapping[str, Any]) -> None:
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _die_with_the_cradle()
        sink = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(sink, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if "part" in asked:
            module, _, function = asked["part"].partition(":")
            getattr(importlib.import_module(module), function)(*asked["words"])
            status = 0
        else:
            status = _serve(asked["environ"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _serve(environ: Mapping[str, str]) -> int:
    from service.commands import serve
    from service.settings import Settings

    os.environ.update(environ)
    return serve.run(Settings.from_env(environ), host=None, port=None)


def _die_with_the_cradle() -> None:
    """Ask Linux to kill this server when the tests are gone and with them the cradle."""
    pr_set_pdeathsig = 1  # linux/prctl.h
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


if __name__ == "__main__":
    rock(sys.stdin.buffer, sys.stdout.buffer)
