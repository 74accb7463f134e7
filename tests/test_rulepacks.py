"""Rule files: every example holds, a bad pack is refused whole, and the commands tell file and line."""

import io
import json
import shutil
from pathlib import Path

import pytest

from service.commands import moderate, rules_check
from service.domain.rule_language import Category
from service.store.rulepacks import BadPack, RuleBook, check_examples, load_rule_book, load_rules

RULES = Path(__file__).resolve().parent.parent / "rules"


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return load_rule_book(RULES)


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    """A copy of the rules to break."""
    return Path(shutil.copytree(RULES, tmp_path / "rules"))


def test_every_example_and_every_standard_reply_does_as_it_should(book: RuleBook) -> None:
    """The innocent examples matter more than the guilty ones."""
    assert check_examples(book) == []


def test_every_category_has_rules_and_every_rule_its_examples(book: RuleBook) -> None:
    """At least three that hit and three that pass, reasons in two languages, a source."""
    assert {rule.category for rule in book.rules} == set(Category)
    for rule in book.rules:
        assert len(rule.hits) >= 3, rule.id
        assert len(rule.passes) >= 3, rule.id
        assert all((rule.reason_zh, rule.reason_en, rule.source)), rule.id


def test_the_four_marketplaces_have_profiles(book: RuleBook) -> None:
    """taobao, pinduoduo, douyin, jd."""
    assert set(book.profiles) == {"taobao", "pinduoduo", "douyin", "jd"}


def test_the_fingerprint_changes_with_any_byte(draft: Path) -> None:
    """A verdict names the sha256 of what judged it."""
    before = load_rules(draft, "taobao").pack_sha256

    with (draft / "disguises" / "jargon.tsv").open("a", encoding="utf-8") as table:
        table.write("微信\t新暗语\n")

    assert load_rules(draft, "taobao").pack_sha256 != before


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("measure: require_edit", "measure: shout", "shout"),
        ("id: sarcasm.cannot_afford", "id: sarcasm.mockery", "stands already"),
        ("mode: act", "mod: act", "mod"),
        ("scene: angry_buyer", "scene: nowhere", "nowhere"),
        ("any: [买不起别买", "any: [$nowhere, 买不起别买", "nowhere"),
        ("any: [买不起别买", "any: ['@nowhere', 买不起别买", "nowhere"),
        ("any: [买不起别买", "any: [薇❤, 买不起别买", "薇❤"),
        ("pack: sarcasm", "pack: sarcasm\npack: sarcasm", "twice"),
        ("pack: sarcasm", "pack: [sarcasm", "YAML"),
        ("version: ", "version: one ", "one"),
        ("    mode: act\n", "    mode: act\n    patterns: ['(unclosed']\n    cues: [买]\n", "unclosed"),
    ],
)
def test_a_bad_pack_is_refused_whole_with_file_line_and_reason(draft: Path, old: str, new: str, says: str) -> None:
    """The packs in force stay in force: nothing is returned."""
    path = draft / "packs" / "sarcasm.yaml"
    content = path.read_text(encoding="utf-8")
    if old == "measure: require_edit":
        old, new = "    mode: act\n", f"    mode: act\n    {new}\n"
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8")

    with pytest.raises(BadPack) as refused:
        load_rule_book(draft)

    assert refused.value.file == "packs/sarcasm.yaml"
    assert 1 <= refused.value.line <= content.count("\n") + 2
    assert says in refused.value.reason


def test_a_pack_that_is_not_utf8_is_refused_with_its_line(draft: Path) -> None:
    """Bytes are not words."""
    path = draft / "packs" / "sarcasm.yaml"
    path.write_bytes(b"pack: sarcasm\nversion: 1\nx: \xff\n")

    with pytest.raises(BadPack) as refused:
        load_rule_book(draft)

    assert (refused.value.file, refused.value.line) == ("packs/sarcasm.yaml", 3)


def test_a_broken_example_fails_with_file_and_line(draft: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`intervention rules check` ends with 1 and names the line."""
    path = draft / "packs" / "threat.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    number = next(index for index, line in enumerate(lines) if "我知道你地址,你自己想清楚" in line)
    lines[number] = "        - 您好"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    code = rules_check.run(draft)

    assert code == 1
    assert f"packs/threat.yaml:{number + 1}: threat.knows_address: should hit" in capsys.readouterr().err


def test_the_shipped_rules_pass_their_check(capsys: pytest.CaptureFixture[str]) -> None:
    """`intervention rules check` ends with 0."""
    assert rules_check.run(RULES) == 0
    assert "0 failed" in capsys.readouterr().out


def spoken(lines: bytes, *, platform: str = "taobao") -> tuple[int, list[dict[str, object]]]:
    out = io.BytesIO()
    code = moderate.run(platform, RULES, io.BytesIO(lines), out)
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


def test_the_command_answers_in_order_and_ignores_unknown_fields() -> None:
    """The contract of moderation.md section 1."""
    asked = [
        {"id": 1, "text": "您好", "mood": "fine"},
        {"id": "b", "text": "加我微信", "channel": "phrase"},
        {"id": None, "text": "去淘宝下单", "platform": "pinduoduo"},
    ]

    code, told = spoken("\n\n".join(json.dumps(one, ensure_ascii=False) for one in asked).encode())

    assert code == 0
    assert [one["id"] for one in told] == [1, "b", None]
    assert [one["measure"] for one in told] == ["none", "reject_with_notice", "reject_with_notice"]
    assert set(told[1]) == {"id", "measure", "direct_to_human", "categories", "findings", "advice"}
    finding = told[1]["findings"][0]
    assert set(finding) == {"rule", "category", "measure", "start", "end", "matched", "reason"}
    assert set(finding["reason"]) == {"zh", "en"}


def test_a_bad_line_is_answered_in_its_place_and_the_rest_goes_on() -> None:
    """Exit code 1 at the end; lone surrogates, endless lines and broken bytes crash nothing."""
    lines = [
        b'{"id": 1, "text": "ok"}',
        b'{"id": 2, "text": ',
        b"\xff\xfe",
        b"[1]",
        b'{"id": 5}',
        b'{"id": 6, "text": 6}',
        b'{"id": 7, "text": "\\ud800"}',
        b'{"id": "\\ud800", "text": "x"}',
        b'{"id": 9, "text": "' + b"a" * 10_001 + b'"}',
        b'{"id": 10, "text": "' + b"a" * 2_000_000 + b'"}',
        b'{"id": 11, "text": "x", "channel": "radio"}',
        b'{"id": 12, "text": "x", "platform": "nowhere"}',
        b'{"id": NaN, "text": "x"}',
        b"[" * 100_000,
        b'{"id": 15, "text": "' + b"a" * 10_000 + b'"}',
    ]

    code, told = spoken(b"\n".join(lines))

    codes = [one["error"]["code"] if "error" in one else None for one in told]
    assert code == 1
    assert codes == [
        None,
        "bad_json",
        "bad_utf8",
        "bad_shape",
        "bad_shape",
        "bad_shape",
        "bad_shape",
        "bad_shape",
        "too_long",
        "too_long",
        "bad_shape",
        "bad_shape",
        "bad_json",
        "bad_json",
        None,
    ]
    assert [one["id"] for one in told] == [1, None, None, None, 5, 6, 7, None, 9, None, 11, 12, None, None, 15]
    assert told[9]["error"] == {"code": "too_long", "line": 10}


def test_an_unknown_platform_is_refused_before_anything_is_read() -> None:
    """Exit code 2: nothing can be judged."""
    assert spoken(b'{"id": 1, "text": "x"}', platform="nowhere") == (2, [])
