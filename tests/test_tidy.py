"""The rules of the house that no other tool checks."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.readme_map import CLOSES, OPENS, ROOT, caption, map_text

SERVICE = sorted((ROOT / "service").rglob("*.py"))
BELOW_THE_EDGE = [path for path in SERVICE if path.relative_to(ROOT).parts[1] in ("domain", "flows", "store")]
DOMAIN = [path for path in SERVICE if path.relative_to(ROOT).parts[1] == "domain"]
POLICY = ROOT / "service" / "domain" / "policy.py"

MADE_ONLY_IN = {"ModeratedReply": "service/domain/moderation.py", "ClearedWords": "service/domain/cleared_words.py"}
MAY_READ_THE_CLOCK = ("service/app.py", "service/__main__.py", "service/commands/")
CLOCKS = {
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "time": {"time", "time_ns", "localtime", "gmtime", "ctime", "strftime"},
}
# architecture.md: what the domain may use beside the standard library.
DOMAIN_MAY_IMPORT = {
    "ahocorasick", "chinese_calendar", "cryptography", "daachorse", "msgspec", "opencc", "pypinyin", "re2", "service",
    "transitions",
}  # fmt: skip
TOUCHES_THE_WORLD = {"open", "input", "print", "exec", "eval", "compile", "__import__", "breakpoint"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def syntax(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def imported(path: Path) -> Iterator[str]:
    """Every absolute module name that a file imports."""
    for node in syntax(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def called(node: ast.AST) -> str:
    """The last name of what is called: `ModeratedReply` for `moderation.ModeratedReply(…)`."""
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def clock_reads(source: str) -> list[int]:
    """The lines that read the wall clock, or hand a clock on."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if node.attr in CLOCKS.get(owner, ()):
                lines.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            lines += [node.lineno for alias in node.names if alias.name in CLOCKS["time"]]
    return lines


def numbers_without_a_source(source: str) -> list[str]:
    """Each assignment of a number, in a module or a class, that no comment on it or right above it explains."""
    tree = ast.parse(source)
    comments = [
        token
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and len(re.findall(r"\w", token.string)) >= 2
    ]
    on_lines = {token.start[0] for token in comments}
    above_lines = {token.start[0] + 1 for token in comments if token.line.lstrip().startswith("#")}
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    return [
        f"{statement.lineno}: {ast.get_source_segment(source, statement)}"
        for statement in (each for body in bodies for each in body)
        if isinstance(statement, ast.Assign | ast.AnnAssign) and _holds_a_number(statement)
        if statement.lineno not in above_lines
        if not on_lines & set(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
    ]


def _holds_a_number(statement: ast.Assign | ast.AnnAssign) -> bool:
    """Whether a number of the trade stands there; `version` counts the policy itself."""
    target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
    if statement.value is None or getattr(target, "id", "") == "version":
        return False
    return any(
        isinstance(node, ast.Constant) and type(node.value) in (int, float) for node in ast.walk(statement.value)
    )


def committed_files() -> list[Path]:
    """Every file that is or could be committed: tracked or new, and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def dependencies() -> dict[str, Requirement]:
    """What pyproject.toml asks for, to run and to develop."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = project["dependencies"] + [line for lines in project["optional-dependencies"].values() for line in lines]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in asked}


@pytest.mark.parametrize("path", [*SERVICE, *sorted((ROOT / "tests").rglob("*.py"))], ids=name_of)
def test_every_module_opens_with_a_caption(path: Path) -> None:
    """One line that says what it is; the README's map is made of these lines."""
    said = caption(path)

    assert said, f"{name_of(path)} opens without a docstring"
    assert said.endswith((".", "…")), f"{name_of(path)}: a caption is one sentence on one line"


@pytest.mark.parametrize(("type_name", "maker"), MADE_ONLY_IN.items())
def test_the_two_types_of_the_hard_promises_are_made_in_one_module_each(type_name: str, maker: str) -> None:
    """Whoever could make one elsewhere could save unjudged words, or tell the buyer unconfirmed ones."""
    makers = {name_of(path) for path in SERVICE if any(called(node) == type_name for node in syntax(path))}

    assert makers == {maker}


@pytest.mark.parametrize("path", BELOW_THE_EDGE, ids=name_of)
def test_only_the_edge_waits(path: Path) -> None:
    """No `async` in domain, flows and store: the edge hops into a worker thread once per transaction."""
    waiting = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)

    assert [node.lineno for node in syntax(path) if isinstance(node, waiting)] == []
    assert "asyncio" not in set(imported(path))


@pytest.mark.parametrize("path", SERVICE, ids=name_of)
def test_the_clock_is_read_in_one_place(path: Path) -> None:
    """Everything else is told the time, so that tests and simulations can travel."""
    if name_of(path).startswith(MAY_READ_THE_CLOCK):
        return

    assert clock_reads(path.read_text(encoding="utf-8")) == []


def test_the_search_for_clocks_finds_them() -> None:
    """A search that finds nothing anywhere would be a comfort and no proof."""
    hidden = (
        "import datetime, time\nfrom datetime import datetime as d, date\nfrom time import time\n"
        "a = datetime.datetime.now()\nb = datetime.now\nc = date.today()\nd = time.time_ns()\n"
        "e = now()\nf = time.sleep(1)\n"
    )

    assert sorted(clock_reads(hidden)) == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("path", DOMAIN, ids=name_of)
def test_the_domain_imports_only_what_the_architecture_names(path: Path) -> None:
    """A library more is a decision, and belongs into architecture and decisions first."""
    foreign = {name.partition(".")[0] for name in imported(path)} - sys.stdlib_module_names

    assert foreign <= DOMAIN_MAY_IMPORT
    assert not {name for name in imported(path) if name.startswith(("urllib.request", "importlib.resources"))}


@pytest.mark.parametrize("path", DOMAIN, ids=name_of)
def test_the_domain_touches_no_disk_and_no_screen(path: Path) -> None:
    """Plain values in, plain values out."""
    touched = [
        node.lineno
        for node in syntax(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TOUCHES_THE_WORLD
    ]

    assert touched == []


def test_every_number_of_the_policy_names_its_source() -> None:
    """An article's words, or "choice": next to the number, where the next reader looks."""
    assert numbers_without_a_source(POLICY.read_text(encoding="utf-8")) == []


def test_the_search_for_numbers_without_a_source_finds_them() -> None:
    """On the line, or on the line above; a comment two lines up belongs to something else."""
    policy = (
        "A = 1  # choice\n# source 002\nB = 2\nC = 3\nclass Policy:\n    d: int = 4  # K1, SRV\n    e: int = 5\n"
        "    f: str = 'x'\n    version: int = 6\n    g: float = 7.0  #\n    h: int\n"
        "    i: tuple = (\n        8,  # choice\n    )\n"
    )

    found = [line.partition(":")[0] for line in numbers_without_a_source(policy)]

    assert found == ["4", "7", "10"]


@pytest.mark.frozen
def test_the_map_of_the_readme_is_made_of_the_captions() -> None:
    """`python -m tests.readme_map` prints what belongs there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if not readme:
        return

    assert OPENS in readme, (
        f"README.md has no map: put the output of `python -m tests.readme_map` into it, from {OPENS}"
    )
    there = readme[readme.index(OPENS) : readme.index(CLOSES) + len(CLOSES)]
    assert there == map_text()


@pytest.mark.frozen
def test_every_dependency_has_its_reason_and_every_reason_its_dependency() -> None:
    """One line each in docs/dependencies.md, down to what was looked at and left."""
    document = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").partition("\n## Looked at and left")[0]

    explained = re.findall(r"^- \*\*([^*]+)\*\*: .{10,}$", document, flags=re.MULTILINE)

    assert sorted(canonicalize_name(name) for name in explained) == sorted(dependencies())


@pytest.mark.frozen
def test_the_lock_holds_every_dependency_in_a_version_that_was_asked_for() -> None:
    """After a change of pyproject.toml: `make lock`."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked: dict[str, str] = {
        canonicalize_name(name): version for name, version in re.findall(r"^(\S+?)==(\S+)", lock, re.MULTILINE)
    }

    astray = [
        str(asked)
        for name, asked in dependencies().items()
        if name not in locked or not asked.specifier.contains(locked[name], prereleases=True)
    ]

    assert astray == []
    assert lock.count("==") - lock.count(" == ") <= lock.count("--hash=sha256:"), "every version has its hashes"


def test_no_file_holds_a_registry_address_or_a_path_of_this_machine() -> None:
    """The repository works on any machine and names none."""
    forbidden = re.compile(
        "|".join(
            re.escape(part)
            for part in (
                str(ROOT),
                str(Path.home()) + "/",
                "pypi" + ".org",
                "pythonhosted" + ".org",
                "registry.npm" + "js",
                "deb.debian" + ".org",
                "--index" + "-url",
                "--find" + "-links",
                "file:" + "///",
            )
        )
    )

    found = [
        f"{name_of(path)}: {match.group()}"
        for path in committed_files()
        if path.parent.name != "vectors"
        for match in [forbidden.search(path.read_bytes().decode("utf-8", errors="replace"))]
        if match
    ]

    assert found == []
