"""Every refusal's code, status and words, read from the sources: `python -m tests.error_codes` prints the list."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Final

from service.api.problems import STATUS_OF
from service.domain.approval import APPROVAL
from service.domain.dispute import DISPUTE
from service.domain.errors import Kind
from service.domain.evidence import EVIDENCE_REQUEST
from service.domain.inquiry import INQUIRY
from service.domain.promise import PROMISE
from service.domain.refund import REFUND
from service.domain.return_shipment import RETURN_SHIPMENT
from service.domain.rule_version import RULE_VERSION
from service.domain.ticket import TICKET

ROOT: Final = Path(__file__).parent.parent
OPENS, CLOSES = "<!-- codes -->", "<!-- /codes -->"
LIFECYCLES: Final = (
    APPROVAL, DISPUTE, EVIDENCE_REQUEST, INQUIRY, PROMISE, REFUND, RETURN_SHIPMENT, RULE_VERSION,
    TICKET,
)  # fmt: skip
MAKES_A_REFUSAL: Final = {"guard": "GuardFailed", "_refuse": "GuardFailed", "token_invalid": "token_invalid"}
# Where a code is no literal: who hands on what somebody else has named.
HANDS_ON: Final = {"api/auth.py", "api/perform.py", "domain/lifecycle.py", "domain/policy.py"}


@dataclass
class Code:
    """A code with everything that is said with it."""

    statuses: set[int] = field(default_factory=set)
    texts: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class RefusalClass:
    """A subclass of Refusal, as its source says it; `code` where its constructor fixes it."""

    bases: tuple[str, ...]
    kind: Kind | None
    code: str | None
    texts: tuple[str, str]


def modules() -> dict[str, ast.Module]:
    """Every module of the service by its path below service/."""
    return {
        path.relative_to(ROOT / "service").as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "service").rglob("*.py"))
    }


def codes() -> Mapping[str, Code]:
    """Every code that the sources can say, in alphabetical order."""
    found: defaultdict[str, Code] = defaultdict(Code)
    parsed = modules()
    classes = _refusal_classes(parsed)
    for name, tree in parsed.items():
        for call in _calls(tree):
            maker = _name(call.func)
            if maker in classes and classes[maker].code is not None:
                _note(found, str(classes[maker].code), _kind(classes, maker), classes[maker].texts)
            elif maker in classes or maker in MAKES_A_REFUSAL:
                literal = _literal(call.args[0]) if call.args else None
                if literal is not None:
                    kind = _kind_named(call) or _kind(classes, MAKES_A_REFUSAL.get(maker, maker))
                    _note(found, literal, kind, _texts(call))
                else:
                    assert name in HANDS_ON or not call.args, f"{name}:{call.lineno}: a code that nobody can list"
    for code in _codes_of_arrows():
        _note(found, code, Kind.GUARD, ("没有符合条件的下一步", "No arrow of this action fits the facts"))
    return dict(sorted(found.items()))


def table_text() -> str:
    """What stands between the two marks of docs/errors.md, marks included."""
    lines = [OPENS, "| code | status | zh | en |", "|---|---|---|---|"]
    for code, said in codes().items():
        zh, en = said.texts[0] if said.texts else ("", "")
        lines.append(f"| `{code}` | {', '.join(map(str, sorted(said.statuses)))} | {zh} | {en} |")
    return "\n".join([*lines, CLOSES])


def _codes_of_arrows() -> Iterator[str]:
    """Where every arrow of a trigger hangs on one and the same condition, that condition's name is the code."""
    yield "no_arrow_fits"
    for lifecycle in LIFECYCLES:
        for state, trigger in product(lifecycle.states, {arrow.trigger for arrow in lifecycle.arrows}):
            arrows = lifecycle.arrows_from(state, trigger)
            for side in sorted({actor for arrow in arrows for actor in arrow.actors}):
                mine = [arrow for arrow in arrows if arrow.may_be_taken_by(side)]
                names = {fits.__name__ for arrow in mine for fits in arrow.when}
                if len(names) == 1 and all(arrow.when for arrow in mine):
                    yield names.pop()


def _refusal_classes(parsed: Mapping[str, ast.Module]) -> dict[str, RefusalClass]:
    known = {"Refusal": RefusalClass((), Kind.GUARD, None, ("", ""))}
    every = [node for tree in parsed.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while True:
        new = [node for node in every if node.name not in known and any(_name(base) in known for base in node.bases)]
        if not new:
            return known
        for node in new:
            fixed = [c for c in _calls(node) if isinstance(c.func, ast.Attribute) and c.func.attr == "__init__"]
            code = _literal(fixed[0].args[0]) if fixed and fixed[0].args else None
            assigned = [s for s in node.body if isinstance(s, ast.Assign) and _name(s.targets[0]) == "kind"]
            kinds = [_kind_of(each.value) for each in assigned]
            known[node.name] = RefusalClass(
                tuple(_name(base) for base in node.bases),
                kinds[0] if kinds else None,
                code,
                _texts(fixed[0]) if fixed else ("", ""),
            )


def _kind(classes: Mapping[str, RefusalClass], name: str) -> Kind:
    if name == "token_invalid":
        return Kind.UNAUTHENTICATED
    found = classes[name]
    return found.kind or _kind(classes, next(base for base in found.bases if base in classes))


def _kind_named(call: ast.Call) -> Kind | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "kind"]
    return _kind_of(named[0]) if named else None


def _kind_of(value: ast.expr) -> Kind | None:
    return Kind[value.attr] if isinstance(value, ast.Attribute) else None


def _texts(call: ast.Call) -> tuple[str, str]:
    named = {keyword.arg: _literal(keyword.value) or "" for keyword in call.keywords}
    placed = [_literal(argument) or "" for argument in call.args[1:3]] + ["", ""]
    return named.get("zh", placed[0]), named.get("en", placed[1])


def _note(found: defaultdict[str, Code], code: str, kind: Kind, texts: tuple[str, str]) -> None:
    found[code].statuses.add(STATUS_OF[kind].status)
    if texts[0] and texts not in found[code].texts:
        found[code].texts.append(texts)


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


if __name__ == "__main__":
    print(table_text())  # noqa: T201  this is what it is for
