"""The command `intervention`: serve, migrate, demo, moderate, promises, rules check, rules replay."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from service.settings import BadSetting, Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 something was not right, 2 it could not begin."""
    asked = _parser().parse_args(arguments)
    try:
        return int(asked.run(asked))
    except BadSetting as bad:
        print(f"intervention: {bad}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # somebody closed the pipe we write to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="intervention", description="Gongduan 公断: refund-dispute intervention for marketplaces"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve HTTP; the demo with the embedded default")
    serve.add_argument("--host", help="default: HOST, or 127.0.0.1")
    serve.add_argument("--port", type=int, help="default: PORT, or 8000")
    serve.set_defaults(run=_serve)

    migrate = commands.add_parser("migrate", help="bring the database to the newest schema")
    migrate.set_defaults(run=_migrate)

    demo = commands.add_parser("demo", help="play three stories against the running service")
    demo.add_argument("--url", default="http://127.0.0.1:8000", help="default: %(default)s")
    demo.set_defaults(run=_demo)

    moderate = commands.add_parser("moderate", help="judge JSON Lines from standard input (docs/moderation.md)")
    moderate.add_argument("--platform", default="taobao", help="default: %(default)s")
    moderate.add_argument("--rules", type=Path, help="default: RULES_DIR, or rules")
    moderate.set_defaults(run=_moderate)

    promises = commands.add_parser("promises", help="read promises out of JSON Lines (docs/promises.md)")
    promises.set_defaults(run=_promises)

    rules = commands.add_parser("rules", help="work on rule packs").add_subparsers(required=True, metavar="ACTION")
    check = rules.add_parser("check", help="run every example of every pack")
    check.add_argument("--rules", type=Path, help="default: RULES_DIR, or rules")
    check.set_defaults(run=_rules_check)
    replay = rules.add_parser("replay", help="what new rules would have done to past messages (needs the extra [bulk])")
    replay.add_argument(
        "--pack", type=Path, required=True, help="a rules folder, or one file that goes over packs/ of --rules"
    )
    replay.add_argument("--against", required=True, help="JSON Lines, a .parquet file, or the URL of a database")
    replay.add_argument("--rules", type=Path, help="what is compared with; default: RULES_DIR, or rules")
    replay.add_argument("--runner", choices=("pool", "duckdb", "daft"), default="pool", help="default: %(default)s")
    replay.add_argument("--workers", type=int, help="processes or threads; default: one a core")
    replay.add_argument("--json", action="store_true", help="one JSON object instead of words")
    replay.set_defaults(run=_rules_replay)
    return parser


def _settings() -> Settings:
    return Settings.from_env(os.environ)


def _rules_dir(asked: argparse.Namespace) -> Path:
    return Path(asked.rules) if asked.rules is not None else _settings().rules_dir


# Each command imports what it needs: `promises` must not wait for a web server to load.


def _serve(asked: argparse.Namespace) -> int:
    from service.commands import serve

    return serve.run(_settings(), host=asked.host, port=asked.port)


def _migrate(_: argparse.Namespace) -> int:
    from service.commands import migrate

    return migrate.run(_settings())


def _demo(asked: argparse.Namespace) -> int:
    from service.commands import demo

    return demo.run(asked.url, sys.stdout)


def _moderate(asked: argparse.Namespace) -> int:
    from service.commands import moderate

    return moderate.run(asked.platform, _rules_dir(asked), sys.stdin.buffer, sys.stdout.buffer)


def _promises(_: argparse.Namespace) -> int:
    from service.commands import promises

    return promises.run(sys.stdin.buffer, sys.stdout.buffer)


def _rules_check(asked: argparse.Namespace) -> int:
    from service.commands import rules_check

    return rules_check.run(_rules_dir(asked))


def _rules_replay(asked: argparse.Namespace) -> int:
    from service.commands import rules_replay

    return rules_replay.run(
        asked.pack,
        asked.against,
        _rules_dir(asked),
        runner=asked.runner,
        workers=asked.workers,
        as_json=asked.json,
        stdout=sys.stdout,
    )


if __name__ == "__main__":
    sys.exit(main())
