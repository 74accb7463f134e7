"""`intervention rules replay`: the differences of two books over many messages are those of judging one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.__main__ import main
from service.domain.moderation import Channel
from service.store import bulk_judging, past_messages
from service.store.bulk_judging import broken, names
from service.store.bulk_runners import Books, Part, books_of, run_daft, run_duckdb, run_pool
from service.store.bulk_sources import COLUMNS, JsonLines, Parquet, ServiceDatabase, batch_of, parsed
from service.store.differing_rules import differing, only
from service.store.rule_replay import PastMessage, Replay, fired_by
from service.store.rulepacks import RuleBook, load_rule_book
from tests.over_http import HttpWorld, new_http_world
from tests.rule_drafts import MOON, RULES, done, small_rules, trial_pack

# What the sieve must not let fall: words in every dress, and what stands next to them.
WORDS = (
    "加我微信|加 我 微 信|加我薇信|jia我weixin|加我vx123456|+V|➕薇|1381234|5678|一三八|转帐|轉賬|傻逼|傻傻逼逼|女口果"
    "|好评返现|绝!对!|全网最低|第一|㎏|½|🐧|💚|哦|嗯嗯|不知道|自己看|亲|您好|呢|哈|\0|\n| |,|。|！|不要|谨防|微信支付"
    "|京东快递|淘宝|http://a.cn|a@b.cn|银行卡|线下|光线下|今天发货|明天肯定到|最|好|退款|月亮不圆|ＶＸ|ⓥ|①③⑧|妈妈的|妈的|滚"
)
SIEVED = 1_000_000  # ways to break a rule: no book has as many
PIECES = WORDS.split("|")
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map("".join)


@pytest.fixture(scope="module")
def real() -> RuleBook:
    return load_rule_book(RULES)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    folder = tmp_path_factory.mktemp("books")
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    before, after = small_rules(folder / "a"), small_rules(folder / "b")
    (after / "packs" / "trial.yaml").write_text(trial_pack(), encoding="utf-8")
    (after / "packs" / "diversion.yaml").write_text(
        (before / "packs" / "diversion.yaml").read_text("utf-8").replace("mode: act", "mode: watch"), encoding="utf-8"
    )
    return books_of(str(before), str(after))


def messages(count: int) -> list[PastMessage]:
    """The same few, many times, each with a number of its own."""
    texts = [f"亲,{MOON}", "加我微信", "加微信支付更快", "今天发货哦", "好的", MOON + "加微信"]
    platforms, channels = ["taobao", "jd", "nowhere"], list(Channel)
    return [
        PastMessage(f"{texts[n % 6]} {n}", platforms[n % 3], channels[n % 6].value, "请问呢" if n % 2 else None)
        for n in range(count)
    ]


@pytest.fixture(autouse=True, scope="module")
def sieved() -> Iterator[None]:
    """However large a book is, its messages are sieved here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk_judging, "WAYS_MAX", SIEVED)
        yield


def one_by_one(asked: list[PastMessage], books: Books) -> Replay:
    before, after = (load_rule_book(Path(folder)) for folder in books.folders)
    found = Replay()
    for message in asked:
        found.note_message(message, before, after)
    return found


def storable(text: str) -> str:
    """Without lone surrogates, which no database and no Arrow array holds."""
    return text.encode("utf-8", "replace").decode()


def summed(parts: Iterator[Part]) -> Replay:
    found = Replay()
    for part in parts:
        found.add(part.replay)
    return found


def plain(found: Replay) -> Any:
    """Without samples, which may be others of the same rule."""
    return [found.judged, found.skipped, found.changed, found.hit_before, found.hit_after] + [
        (rule, each.new, each.lost, each.new_acting, each.lost_acting, len(each.new_samples), len(each.lost_samples))
        for rule, each in sorted(found.rules.items())
    ]


# --- the unit of work ------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.sampled_from([*Channel]), st.none() | TEXTS), max_size=30), st.booleans())
def test_judging_many_at_once_finds_what_judging_one_by_one_finds(
    real: RuleBook, asked: list[tuple[str, Channel, str | None]], on_jd: bool
) -> None:
    """Whatever is joined with whatever: no rule is lost, none is added, no message is taken for its neighbour."""
    platform = "jd" if on_jd else "taobao"
    given_ = [
        PastMessage(storable(text), platform, where.value, question and storable(question))
        for text, where, question in asked
    ]
    columns = [pa.array([getattr(each, name) for each in given_], type=pa.string()) for name in COLUMNS]

    found = broken(*columns, [str(RULES)])[0].to_pylist()

    assert found == [names(fired_by(each, real).items()) for each in given_]


@pytest.mark.parametrize("ways_max", [0, SIEVED])
def test_every_example_of_every_rule_is_found_by_the_sieve(
    real: RuleBook, ways_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once, on their own marketplaces and channels; and so it is where a book is too large for a sieve."""
    monkeypatch.setattr(bulk_judging, "WAYS_MAX", ways_max)
    asked = [
        PastMessage(example.text, example.platform, example.channel.value, example.question)
        for rule in real.rules
        for example in (*rule.hits, *rule.passes)
    ]
    batch = batch_of(asked)

    found = broken(*(batch.column(name) for name in COLUMNS), [str(RULES)])[0].to_pylist()

    assert found == [names(fired_by(each, real).items()) for each in asked]
    assert sum(map(bool, found)) > 100


def test_nulls_are_the_usual_marketplace_and_channel_and_unknown_ones_are_skipped(books: Books) -> None:
    """Null platform: taobao; null channel: buyer_chat; a marketplace or a channel that nobody knows: null."""
    texts = pa.array([MOON, MOON, MOON, None])
    platforms = pa.array([None, "nowhere", "jd", None], type=pa.string())
    channels = pa.array([None, None, "nowhere", None], type=pa.string())

    found = broken(texts, platforms, channels, pa.nulls(4, pa.string()), [books.after])[0]

    assert found.to_pylist() == ["trial.moon", None, None, ""]


# --- the runners -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "history.parquet"
    pq.write_table(pa.Table.from_batches([batch_of(messages(3_000))]), path, row_group_size=700)
    return path


@pytest.mark.parametrize("runner", ["pool", "duckdb", "daft"])
def test_every_runner_finds_the_same_differences(runner: str, parquet: Path, books: Books) -> None:
    """The same unit, by a pool of processes, by DuckDB, by Daft on its local runner."""
    source = Parquet(parquet)
    parts = {
        "pool": lambda: run_pool(source, books, workers=2),
        "duckdb": lambda: run_duckdb(source, books, workers=2),
        "daft": lambda: run_daft(source, books),
    }[runner]()

    found = summed(parts)

    assert plain(found) == plain(one_by_one(messages(3_000), books))
    assert (found.judged, found.skipped) == (2_000, 1_000)
    assert found.rules["trial.moon"].new_acting == found.rules["trial.moon"].new > 0
    assert found.rules["diversion.private_contact"].lost == 0
    assert found.rules["diversion.private_contact"].lost_acting > 0


def test_json_lines_are_read_in_whole_lines_and_bad_ones_counted(tmp_path: Path, monkeypatch: Any) -> None:
    """Chunks of any size give the same lines; unknown members are passed over."""
    lines = [json.dumps({"id": n, "text": f"第{n}条", "more": 1}, ensure_ascii=False) for n in range(500)]
    lines[7], lines[9], lines[11] = "{", '{"text": 5}', json.dumps({"text": "长" * 10_001})
    path = tmp_path / "history.jsonl"
    path.write_text("\ufeff" + "\n\n".join(lines), encoding="utf-8")
    monkeypatch.setattr("service.store.bulk_sources.CHUNK_BYTES", 1_000)

    read = [parsed(batch.content) for batch in JsonLines(path).batches()]

    assert sum(bad for _, bad in read) == 3
    texts = [text for batch, _ in read for text in batch.column("text").to_pylist()]
    assert texts == [f"第{n}条" for n in range(500) if n not in (7, 9, 11)]


@pytest.fixture
def world(database: str, tmp_path: Path, books: Books) -> Iterator[HttpWorld]:
    with new_http_world(database, tmp_path, Path(books.before)) as world:
        yield world


def test_the_database_gives_each_message_with_what_it_answered(
    world: HttpWorld, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page; the buyer's words are questions, never judged."""
    dispute = world.open_one()
    said = [
        ("buyer", "什么时候发货?"),
        ("owner", f"亲,{MOON}"),
        ("buyer", "几点?"),
        ("owner", "加我微信"),
        ("owner", "好的"),
    ]
    for number, (user, text) in enumerate(said):
        body = {"client_message_id": f"m-{number}", "text": text}
        assert world.post(user, f"/disputes/{dispute}/messages", body).status_code in (201, 403)
        world.pass_time(seconds=1)
    monkeypatch.setattr("service.store.bulk_sources.PAGE_ROWS", 2)

    rows = [row for batch in ServiceDatabase(database).batches() for row in batch.content.to_pylist()]

    assert [(row["text"], row["question"]) for row in rows] == [
        (f"亲,{MOON}", "什么时候发货?"),
        ("加我微信", "几点?"),
        ("好的", "几点?"),
    ]
    assert {(row["platform"], row["channel"]) for row in rows} == {("taobao", "buyer_chat")}
    newest = world.database.read(lambda tx: past_messages.newest(tx, limit=100))
    assert [message.text for message in newest] == [row["text"] for row in rows]


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_real_command_says_what_differs_and_how_far_it_is(books: Books, tmp_path: Path) -> None:
    """Exit code 3 where something differs; results on standard output, progress on standard error."""
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join(json.dumps({"text": each.text}) for each in messages(60)), encoding="utf-8")
    trial = tmp_path / "trial.yaml"
    trial.write_text(trial_pack(), encoding="utf-8")
    words = ("--pack", str(trial), "--rules", books.before, "--against", str(path), "--workers", "1")

    found = subprocess.run(
        [sys.executable, "-m", "service", "rules", "replay", *words], capture_output=True, text=True, check=False
    )

    assert found.returncode == 3, found.stderr
    assert "trial.moon: 20 new hits (20 begin to act), 0 lost (0 cease to act)" in found.stdout
    assert f"  + 亲,[{MOON}] #" in found.stdout
    assert found.stderr.startswith("100% 60 messages")


def test_the_exit_code_says_whether_all_is_well(
    books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 where nothing differs, 1 where lines were bad, 2 where it cannot begin."""
    path, trial = tmp_path / "history.jsonl", tmp_path / "trial.yaml"
    path.write_text(json.dumps({"text": MOON}), encoding="utf-8")
    trial.write_text("pack: trial", encoding="utf-8")
    rules = ("--rules", books.before, "--workers", "1", "--against", str(path))

    same = replay(capsys, "--pack", books.before, *rules, "--json")
    path.write_text(path.read_text("utf-8") + "\n{", encoding="utf-8")
    bad_line = replay(capsys, "--pack", books.before, *rules)
    bad_pack = replay(capsys, "--pack", str(trial), *rules)
    no_file = replay(capsys, "--pack", books.before, *rules[:-1], str(tmp_path / "nowhere.jsonl"))

    assert (same[0], json.loads(same[1])["changed"]) == (0, 0)
    assert (bad_line[0], "1 bad lines" in bad_line[1]) == (1, True)
    assert (bad_pack[0], "packs/trial.yaml:1:" in bad_pack[2]) == (2, True)
    assert (no_file[0], "nowhere.jsonl" in no_file[2]) == (2, True)


def test_a_database_is_replayed_by_its_address(
    world: HttpWorld, database: str, books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read only, while the service runs."""
    dispute = world.open_one()
    done(world.post("owner", f"/disputes/{dispute}/messages", {"client_message_id": "m-1", "text": MOON}), 201)

    code, said, errors = replay(
        capsys, "--pack", books.after, "--rules", books.before, "--against", database, "--json", "--workers", "1"
    )

    assert code == 3, errors
    assert json.loads(said.splitlines()[-1])["rules"]["trial.moon"]["new"] == 1


def replay(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """The command in this process: exit code, what it says, what it says on standard error."""
    capsys.readouterr()
    code = main(["rules", "replay", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


# --- only what differs is judged -------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(range(40)), min_size=1, max_size=6), TEXTS)
def test_some_rules_alone_find_what_they_find_in_the_whole_book(real: RuleBook, chosen: set[int], text: str) -> None:
    """Each rule is judged by itself, so the rules that are the same in both books can be left out."""
    ids = frozenset(real.rules[number].id for number in chosen)
    message = PastMessage(storable(text), "taobao", "buyer_chat", "在吗?")

    whole, part = fired_by(message, real), fired_by(message, only(real, ids))

    assert part == {rule: place for rule, place in whole.items() if rule in ids}


def test_a_rule_differs_by_what_decides_and_not_by_what_is_said_of_it(tmp_path: Path) -> None:
    """A reason is no difference; a word, a list that it names, the mode and the ground of all rules are."""
    (tmp_path / "a").mkdir()
    rules = small_rules(tmp_path / "a")
    pack, lists = rules / "packs" / "diversion.yaml", rules / "lists.yaml"
    told = pack.read_text("utf-8")
    before = load_rule_book(rules)

    def differs(file: Path, old: str, new: str) -> set[str]:
        content = file.read_text("utf-8")
        assert old in content
        file.write_text(content.replace(old, new, 1), encoding="utf-8")
        found = differing(before, load_rule_book(rules))
        file.write_text(content, encoding="utf-8")
        return set(found)

    everything = {rule.id for rule in before.rules}
    assert told.count("- id:") == len(everything) == 1
    assert differs(pack, "不得引导", "不可引导") == set()
    assert differs(pack, "加微信]", "加微信, 加v]") == everything
    assert differs(pack, "mode: act", "mode: watch") == everything
    assert differs(lists, "warning: [", "warning: [小心火烛, ") == set(), "no rule here names this list"
    assert differs(lists, "not_negation: [", "not_negation: [不二, ") == everything
    assert differs(rules / "profiles" / "jd.yaml", "lists: {}", "lists: {}\ninnocent: [加微信群]") == everything
