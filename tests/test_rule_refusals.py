"""Every mistake that a rule editor can make is refused with file, line and reason, and nothing of the book is used."""

import shutil
from pathlib import Path

import pytest

from service.store.rulepacks import BadPack, load_rule_book

RULES = Path(__file__).resolve().parent.parent / "rules"
PACK = """pack: extra
version: 1
category: abuse
rules:
  - id: abuse.extra
    mode: act
    any: [某某词]
    reason: {zh: 测, en: t}
    source: choice
    examples: {hit: [某某词一, 某某词二, 某某词三], pass: [好, 行, 可]}
"""
ACT, ANY = "mode: act", "[某某词]"


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the rules with room for one more pack."""
    return Path(shutil.copytree(RULES, tmp_path_factory.mktemp("draft") / "rules"))


def refusal(draft: Path, content: str | bytes) -> BadPack:
    path = draft / "packs" / "extra.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadPack) as refused:
        load_rule_book(draft)
    return refused.value


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        (ACT, "mod: act", 5, "mod"),
        (ANY, "某某词", 7, "array"),
        (ANY, "[$nowhere]", 5, "no list"),
        (ACT, ACT + "\n    unless_within: [$nowhere]", 5, "no list"),
        (ACT, ACT + "\n    scene: nowhere", 5, "no scene"),
        (ACT, ACT + "\n    platforms: [nowhere]", 5, "no profile"),
        (ACT, ACT + "\n    alone: ['@nowhere']", 5, "no shape"),
        (ACT, ACT + "\n    patterns: ['(']\n    cues: [某]", 7, "missing )"),
        (ACT, ACT + "\n    patterns: ['a*']\n    cues: [某]", 7, "matches nothing"),
        (ACT, ACT + "\n    patterns: ['((a{1000}){1000}){100}']\n    cues: [某]", 7, "repetition"),
        (ACT, ACT + "\n    patterns: ['ab']", 7, "need cues"),
        (ACT, ACT + "\n    patterns: ['ab']\n    cues: ['!!']", 5, "leaves nothing"),
        (ACT, ACT + "\n    unless: ['--']", 5, "leaves nothing"),
        (ANY, "['']", 7, "shorter than 1"),
        (ANY, "['!!']", 5, "leaves only"),
        (ANY, "[薇❤]", 5, "leaves only"),
        (ANY, "[" + "某" * 201 + "]", 7, "longer than 200"),
        (ANY, "&a [某某词]\n    unless: *a", 7, "anchors"),
        (ANY, "[!!python/object:os.system x]", 7, "the tag"),
        ("version: 1", "version: one", 2, "one"),
        ("pack: extra", "pack: extra\npack: extra", 2, "twice"),
        ("rules:", "lists: {aa: [$bb], bb: [$aa]}\nrules:", 0, ""),
    ],
)
def test_a_mistake_is_refused_where_it_stands(draft: Path, old: str, new: str, line: int, says: str) -> None:
    """Unknown names, wrong types, bad patterns, words of which nothing is left, YAML's own surprises."""
    content = PACK.replace(old, new, 1)
    if "$bb" in new:
        content, line, says = content.replace(ANY, "[$aa]"), 6, "in itself"

    refused = refusal(draft, content)

    assert (refused.file, refused.line) == ("packs/extra.yaml", line)
    assert says in refused.reason


def test_the_same_id_twice_too_many_rules_and_bytes_that_are_no_text_are_refused(draft: Path) -> None:
    """Bounds on a book, and what no editor shows."""
    head, _, rule = PACK.partition("rules:\n")
    many = head + "rules:\n" + "".join(rule.replace("abuse.extra", f"abuse.extra{number}") for number in range(2_001))

    assert "stands already" in refusal(draft, PACK + rule).reason
    assert "more than 2000 rules" in refusal(draft, many).reason
    assert (refusal(draft, b"pack: extra\nx: \xff\n").line, refusal(draft, "[" * 3_000).line) == (2, 1)


def test_a_bomb_of_aliases_is_refused_before_it_goes_off(draft: Path) -> None:
    """Nine levels of nine would be a billion values."""
    levels = "".join(f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 9)}]\n" for level in range(1, 10))

    assert "anchors" in refusal(draft, "l0: &l0 [x]\n" + levels + PACK).reason


def test_a_link_out_of_the_book_is_refused_and_tells_nothing_of_what_it_points_to(draft: Path, tmp_path: Path) -> None:
    """A rule book is files; what lies elsewhere is not its own."""
    secret = tmp_path / "secret.yaml"
    secret.write_text("password: hunter2\n", encoding="utf-8")
    path = draft / "packs" / "extra.yaml"
    path.unlink(missing_ok=True)
    path.symlink_to(secret)

    with pytest.raises(BadPack) as refused:
        load_rule_book(draft)
    path.unlink()

    assert "link" in str(refused.value)
    assert "hunter2" not in str(refused.value)
