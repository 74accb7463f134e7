"""Small changes to the rule book of the repository, for tests of what becomes of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from httpx import Response

from service.store.tables import RuleVersion
from service.store.writes import Plan
from tests.over_http import HttpWorld

RULES = Path(__file__).parent.parent / "rules"
MOON = "月亮不圆"
BASE_PACK = """\
pack: diversion
version: 1
category: diversion
disguises: [noise, homophone, pinyin, repeat, stand_in]
rules:
  - id: diversion.private_contact
    mode: act
    any: [加我微信, 加微信]
    unless: [加微信支付]
    reason: {zh: 不得引导, en: Stay here}
    source: source 004, part 1.1
    examples:
      hit: [加我微信, 亲加微信聊, 你加微信]
      pass: [微信支付, 亲请看, 好的亲]
"""
PROFILE = "profile: {name}\nname: {{zh: {name}, en: {name}}}\nlists: {{}}\n"


def small_rules(folder: Path) -> Path:
    """A rules folder of one rule: what is tested here must not depend on what the real packs say today."""
    rules = folder / "small-rules"
    shutil.copytree(RULES, rules, ignore=shutil.ignore_patterns("packs", "profiles", "scenes"))
    for name, content in [
        ("book.yaml", book_yaml(1)),
        ("packs/diversion.yaml", BASE_PACK),
        ("scenes/plain_words.yaml", "scene: plain_words\ntitle: {zh: 一, en: a}\nreplies: [亲请看]\n"),
        *((f"profiles/{name}.yaml", PROFILE.format(name=name)) for name in ("taobao", "jd", "douyin", "pinduoduo")),
    ]:
        (rules / name).parent.mkdir(exist_ok=True)
        (rules / name).write_text(content, encoding="utf-8")
    return rules


def trial_pack(*, mode: str = "act", word: str = MOON, hit: str | None = None) -> str:
    """A pack of one rule that stops a phrase nobody else minds."""
    return f"""\
pack: trial
version: 1
category: abuse
rules:
  - id: trial.moon
    mode: {mode}
    measure: reject
    any: [{word}]
    reason: {{zh: 试验, en: a trial}}
    source: a test
    examples:
      hit: ["{hit or word + "啊"}", "今天{word}", "{word}了"]
      pass: [月亮很圆, 今天的月亮, 亲请看]
"""


def book_yaml(version: int) -> str:
    """The book as the repository names it, in another version."""
    return f"book: gongduan\nversion: {version}\n"


def changes(version: int = 1_001, pack: str | None = None) -> dict[str, Any]:
    """A draft of the book with the trial pack."""
    content = pack or trial_pack()
    files = [
        {"name": "book.yaml", "content": book_yaml(version)},
        {"name": "packs/trial.yaml", "content": content},
    ]
    return {"files": files, "note": "试验", "base": "folder"}


def drafted(world: HttpWorld, version: int = 1_001, pack: str | None = None) -> dict[str, Any]:
    """A draft by the demo's rules editor."""
    return done(world.post("rules-editor", "/rule-packs", changes(version, pack)), 201)


def replayed(world: HttpWorld, version: int = 1_001, pack: str | None = None) -> dict[str, Any]:
    """A version that may be published; tests of check and replay do these themselves."""
    made = drafted(world, version, pack)
    stands(world, made["id"], "replayed")
    return made


def stands(world: HttpWorld, version_id: str, state: str) -> None:
    """Let a version stand in a state without the work that leads there."""
    plan = Plan()
    plan.update(RuleVersion, version_id, state=state)
    world.database.run(lambda tx: tx.apply([plan]))


def published(world: HttpWorld, version: int = 1_001, pack: str | None = None) -> dict[str, Any]:
    """A version that a supervisor has brought into force."""
    made = replayed(world, version, pack)
    return done(world.post("supervisor", f"/rule-packs/{made['id']}/publish", {"sha256": made["sha256"]}))


def done(answer: Response, status: int = 200) -> dict[str, Any]:
    """The body of a good answer."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    return dict(answer.json())
