"""Codes in pictures: found in whatever picture shows them, in bounded work, and judged by what they say."""

from __future__ import annotations

import time
from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.domain.moderation import Channel, Context, Measure, moderated
from service.domain.picture_codes import Code, leads_home, only_numbers, words_shown
from service.store.picture_reading import (
    FRAMES_MAX,
    PIXELS_MAX,
    SCANS_MAX,
    WAITING_MAX,
    PictureReader,
    PictureTooLarge,
    codes_in,
)
from service.store.writes import Busy
from tests.pictures import WECHAT, code, file_of, photo, png_that_says, webp_that_says
from tests.world import rule_book

OWN = ("taobao.com", "tb.cn")
CHAT = Context(Channel.BUYER_CHAT, "taobao")


# --- found ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
@pytest.mark.parametrize("turned", [0, 90, 17])
def test_a_code_is_found_in_every_kind_of_picture_however_it_is_turned(kind: str, turned: float) -> None:
    """D1: pictures with codes; every type of picture that is taken in is looked into."""
    content = file_of(photo(code(WECHAT), turned=turned), kind)

    assert codes_in(content, f"image/{kind.lower()}") == (Code("QRCode", WECHAT),)


def test_a_code_is_found_on_every_ground() -> None:
    """White on black, and black or white on nothing at all."""
    drawn = code(WECHAT)
    inverted = photo(drawn).point(lambda grey: 255 - grey)
    on_nothing = [Image.new("RGBA", drawn.size, (ink, ink, ink, 255)) for ink in (0, 255)]
    for each in on_nothing:
        each.putalpha(drawn.point(lambda grey: 255 - grey))

    for picture in (inverted, *on_nothing):
        assert codes_in(file_of(picture), "image/png") == (Code("QRCode", WECHAT),)


def test_all_codes_are_found_and_bare_numbers_come_last() -> None:
    """A label beside a contact hides nothing."""
    content = file_of(photo(code("6901234567892", "EAN13", scale=2), code(WECHAT), size=(900, 400)))

    assert codes_in(content, "image/png") == (Code("QRCode", WECHAT), Code("EAN13", "6901234567892"))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_a_code_in_a_later_frame_is_found(kind: str) -> None:
    """A moving picture shows it, so it is looked at."""
    frames = [photo(size=(300, 300)), photo(code(WECHAT, scale=3), size=(300, 300))]
    content = file_of(photo(size=(300, 300)), kind, frames)

    assert codes_in(content, f"image/{kind.lower()}") == (Code("QRCode", WECHAT),)


def test_a_picture_that_breaks_off_is_looked_at_as_far_as_it_goes() -> None:
    """A browser shows that much of it, too."""
    content = file_of(photo(code(WECHAT)), "JPEG")

    assert codes_in(content[: len(content) * 9 // 10], "image/jpeg") == (Code("QRCode", WECHAT),)


def test_a_picture_without_codes_has_none_and_no_picture_has_nobody_looking() -> None:
    """The difference between looked at and not is kept."""
    assert codes_in(file_of(photo()), "image/png") == ()
    assert codes_in(b"%PDF-1.7", "application/pdf") is None
    assert codes_in(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png") is None


# --- bounded --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "media_type", "fact"),
    [
        (png_that_says(60_000, 60_000), "image/png", "pixels"),
        (png_that_says(PIXELS_MAX + 1, 1), "image/png", "pixels"),
        (webp_that_says(16_000, 16_000), "image/webp", "pixels"),
        (b"\xff\xd8\xff\xe0" + b"\xff\xda\x00\x08" * (SCANS_MAX + 1), "image/jpeg", "scans"),
    ],
)
def test_a_bomb_is_refused_before_it_is_unpacked(content: bytes, media_type: str, fact: str) -> None:
    """413 picture_too_large: its head is enough."""
    begun = time.perf_counter()

    with pytest.raises(PictureTooLarge) as refused:
        codes_in(content, media_type)

    assert (refused.value.code, fact in refused.value.facts) == ("picture_too_large", True)
    assert time.perf_counter() - begun < 1


def test_a_film_is_refused() -> None:
    """More frames than anybody looks through; as many as that are looked through."""
    frames = [Image.new("L", (8, 8), number % 2 * 100 + number) for number in range(FRAMES_MAX)]

    assert codes_in(file_of(frames[0], "GIF", frames[1:]), "image/gif") == ()
    with pytest.raises(PictureTooLarge):
        codes_in(file_of(frames[0], "GIF", [*frames[1:], Image.new("L", (8, 8), 222)]), "image/gif")


@given(
    st.sampled_from([("image/png", file_of(photo(size=(40, 30)))), ("image/gif", file_of(photo(size=(40, 30)), "GIF")),
                     ("image/jpeg", file_of(photo(size=(40, 30)), "JPEG")),
                     ("image/webp", file_of(photo(size=(40, 30)), "WEBP"))]),
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), max_size=20),
)  # fmt: skip
def test_a_broken_picture_breaks_nothing(picture: tuple[str, bytes], changes: list[tuple[int, int]]) -> None:
    """Whatever stands in it: codes, nobody could look, or too large; never another error."""
    media_type, content = picture
    broken = bytearray(content)
    for place, value in changes:
        broken[12 + place % (len(broken) - 12)] = value

    try:
        found = codes_in(bytes(broken), media_type)
    except PictureTooLarge:
        return

    assert found is None or all(isinstance(each, Code) for each in found)


def test_the_one_thread_takes_so_many_pictures_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the bound 503 busy; when they are done, there is room again."""
    reader, gate = PictureReader(), Future[None]()
    monkeypatch.setattr("service.store.picture_reading.codes_in", lambda *_: gate.result())

    waiting = [reader.submit(b"", "image/png") for _ in range(WAITING_MAX)]
    with pytest.raises(Busy):
        reader.submit(b"", "image/png")
    gate.set_result(None)
    assert [each.result() for each in waiting] == [None] * WAITING_MAX

    assert reader.submit(b"", "image/png").result() is None


# --- what they say --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("EAN13", "6901234567892"),
        ("UPCA", "036000291452"),
        ("Code128", "SF1234567890123"),
        ("Code128", "JD0123456789-1-1-"),
        ("QRCode", "YT8800123456789"),
        ("ITF", "16901234567899"),
        ("DataMatrix", "LOT-20261101-A7"),
    ],
)
def test_numbers_of_articles_and_parcels_are_innocent(kind: str, text: str) -> None:
    """Moderation.md: order ids and tracking numbers are everywhere."""
    assert only_numbers(Code(kind, text))
    assert words_shown([Code(kind, text)], OWN) == ()


@pytest.mark.parametrize(
    "text",
    ["13800138000", "V13800138000", "WX13800138000", "8613800138000", "VX-ABC12345", "QQ123456789", "加我", "abc12345",
     "HTTP://A.CN"],
)  # fmt: skip
def test_what_can_be_called_or_added_is_no_number_of_a_thing(text: str) -> None:
    """A barcode may carry a telephone number as well."""
    assert not only_numbers(Code("Code128", text))


@pytest.mark.parametrize(
    ("text", "home"),
    [
        ("https://item.taobao.com/item.htm?id=1", True),
        ("HTTPS://TB.CN/h.abc", True),
        ("http://m.tb.cn:8080/x", True),
        ("https://taobao.com", True),
        ("https://nottaobao.com/", False),
        ("https://taobao.com.evil.cn/", False),
        ("https://evil.cn/?to=taobao.com", False),
        ("https://taobao.com@evil.cn/", False),
        ("https://evil.cn\\@taobao.com/", False),
        ("https://evil.cn#.taobao.com", False),
        ("https://taobao.com 加微信abc888", False),
        ("https://taobao.com/\n13800138000", False),
        ("taobao.com", False),
        ("ｈttps://taobao.com", False),
    ],
)
def test_only_a_whole_address_on_a_host_of_the_marketplace_leads_home(text: str, home: bool) -> None:
    """By profile; what merely names the marketplace does not."""
    assert leads_home(Code("QRCode", text), OWN) is home


@given(st.lists(st.builds(Code, st.sampled_from(["QRCode", "EAN13", "Code128"]), st.text(max_size=80)), max_size=8))
def test_what_is_shown_is_judged_once_or_is_a_number(codes: list[Code]) -> None:
    """No code gets lost between the two."""
    shown = words_shown(codes, ())

    assert len(set(shown)) == len(shown)
    assert all(only_numbers(each) or each.text in shown or not each.text.strip() for each in codes)


# --- judged ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [WECHAT, "wxp://f2f0AbCd", "tel:13800138000", "加微信abc8866", "BEGIN:VCARD\nTEL:13800138000\nEND:VCARD",
     "https://qm.qq.com/cgi-bin/qm/qr?k=abc", "13800138000", "HTTPS://SHOP.EXAMPLE.ORG/1", "MAILTO:a@b.cn"],
)  # fmt: skip
def test_a_code_that_leads_off_the_platform_is_diversion(text: str) -> None:
    """D1: the measure of diversion by code, with the rule, the pack and its fingerprint like every verdict."""
    rules = rule_book().for_platform("taobao")

    verdict = moderated("请看图", rules, CHAT, shown=(text,)).verdict

    found = next(each for each in verdict.findings if each.rule == "diversion.picture_code")
    assert verdict.measure is Measure.REJECT_WITH_NOTICE
    assert (found.category, found.start, found.end) == ("diversion", 0, 0)
    assert found.matched in text
    assert (verdict.pack_id, verdict.pack_sha256) == (rules.pack_id, rules.pack_sha256)
    assert verdict.advice


def test_the_profile_says_what_is_home() -> None:
    """An Alipay code is the marketplace's own on Taobao and foreign on Pinduoduo."""
    alipay = [Code("QRCode", "https://qr.alipay.com/fkx123")]
    shown = {
        name: words_shown(alipay, rule_book().profiles[name].lists["own_domains"]) for name in ("taobao", "pinduoduo")
    }

    assert shown == {"taobao": (), "pinduoduo": ("https://qr.alipay.com/fkx123",)}


def test_words_and_pictures_are_judged_together_and_findings_of_words_keep_their_place() -> None:
    """The gravest decides; what is found in words still cuts the merchant's own characters."""
    rules, text = rule_book().for_platform("taobao"), "我们这是全国最好的面料"

    verdict = moderated(text, rules, CHAT, shown=(WECHAT,)).verdict

    assert verdict.measure is Measure.REJECT_WITH_NOTICE
    assert all(text[f.start : f.end] == f.matched for f in verdict.findings if f.category == "absolute_claim")
    assert {"absolute_claim", "diversion"} <= {each.category for each in verdict.findings}


def test_an_innocent_picture_changes_no_verdict() -> None:
    """What a code says is judged as text, not feared."""
    rules = rule_book().for_platform("taobao")

    told = moderated("您好", rules, CHAT, shown=("产品批号 20261101 合格",)).verdict

    assert told == moderated("您好", rules, CHAT).verdict
