"""Plays three stories over HTTP against the running service and checks every step.

1. Source 002's own example: the buyer wants the goods today, the merchant says 今天发货, confirms exactly that, and the
   buyer is told. 2. A merchant who does not answer: the window closes and a service ticket is issued. 3. An abusive
   merchant: stopped, must read the notice, then answers as one should.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TextIO

import httpx

Json = dict[str, Any]
WAIT_SECONDS_MAX: Final = 60.0  # the demo window is 12 s, the settle margin 1 s
QUESTION: Final = (  # source 002 part 3, step 1
    "商家您好,目前用户希望今天能够发货,请您确认下今天是否可以发货,或者回复平台具体的发货时间,以便我们更好地解决消费者的问题。"
)


class WentWrong(Exception):
    """Something was not as it must be."""


class Stage:
    """The running service with everybody who plays, and the paper the steps are printed on."""

    def __init__(self, url: str, out: TextIO) -> None:
        self._client = httpx.Client(base_url=url, timeout=20, follow_redirects=False)
        self._out = out
        self._tokens: dict[str, str] = {}
        self.run = uuid.uuid4().hex[:8]  # every run has an order of its own

    def say(self, who: str, what: str) -> None:
        """Print one step."""
        print(f"  {who:<6} {what}", file=self._out, flush=True)

    def title(self, text: str) -> None:
        """Print the beginning of a story."""
        print(f"\n{text}", file=self._out, flush=True)

    def post(self, user: str, path: str, body: Json, *, expect: int, revision: int | None = None) -> Json:
        """Act as a demo user; the status must be the one expected."""
        headers = {"Authorization": f"Bearer {self._token(user)}", "Idempotency-Key": uuid.uuid4().hex}
        if revision is not None:
            headers["If-Match"] = f'"{revision}"'
        return self._answer(self._client.post(path, json=body, headers=headers), expect)

    def get(self, user: str, path: str) -> Json:
        """Look as a demo user."""
        return self._answer(self._client.get(path, headers={"Authorization": f"Bearer {self._token(user)}"}), 200)

    def act(self, user: str, dispute: str, action: str, body: Json) -> Json:
        """Pull an action of the dispute at the revision that was seen just now."""
        revision = self.get(user, f"/v1/disputes/{dispute}")["revision"]
        return self.post(user, f"/v1/disputes/{dispute}/actions/{action}", body, expect=200, revision=revision)

    def _token(self, user: str) -> str:
        if user not in self._tokens:
            given = self._client.post("/v1/demo/tokens", json={"user": user})
            if given.status_code != 201:
                raise WentWrong(f"no demo here ({given.status_code}): start the service with DEMO=1")
            self._tokens[user] = given.json()["access_token"]
        return self._tokens[user]

    def _answer(self, response: httpx.Response, expect: int) -> Json:
        if response.status_code != expect:
            raise WentWrong(f"{response.request.url.path}: {response.status_code}, not {expect}: {response.text[:400]}")
        answer: Json = response.json()
        return answer

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def run(url: str, out: TextIO) -> int:
    """Play all three; 0 if everything was as it must be, else 1."""
    stage = Stage(url, out)
    try:
        for story in (ship_today, nobody_answers, abuse):
            story(stage)
    except WentWrong as wrong:
        print(f"\nNOT AS IT MUST BE: {wrong}", file=out)
        return 1
    except httpx.HTTPError as error:
        print(f"\ncannot reach {url}: {error}", file=out)
        return 1
    finally:
        stage.close()
    print("\nAll three stories went as they must.", file=out)
    return 0


# --- the stories ----------------------------------------------------------------------------------------------------


def ship_today(stage: Stage) -> None:
    """The merchant promises, sets the time right, and only then the buyer is told; the parcel keeps the promise."""
    stage.title("1. 今天发货: a promise reaches the buyer only once it is confirmed, and a parcel keeps it")
    dispute, line = _dispute_in_intervention(stage, "ship")
    inquiry = _ask(stage, dispute)
    told = stage.post(
        "owner", f"/v1/inquiries/{inquiry['id']}/messages", _words("我们今天会给消费者发货。"), expect=201
    )
    _must(told["outcome"] == "sent", f"the answer was {told['outcome']}")
    _must(len(told["promises"]) == 1, f"{len(told['promises'])} promises found")
    promise = told["promises"][0]
    _must(promise["wording"] == "unconditional" and promise["action"] == "ship", f"read as {promise}")
    stage.say("商家", "我们今天会给消费者发货。")
    stage.say("系统", f"承诺卡片(待商家确认): {promise['canonical']['zh']}")

    _nothing_gets_through(stage, dispute, promise)
    meant = _set_right(stage, dispute, promise)
    sent = stage.post("agent", f"/v1/disputes/{dispute}/relays", _cited(meant), expect=201)
    heard = stage.get("buyer", f"/v1/disputes/{dispute}/relays")["items"]
    _must([each["text"] for each in heard] == [sent["text"]], f"the buyer reads {heard}")
    stage.say("买家", f"读到: {sent['text']}")
    _keep_it(stage, dispute, line, meant)


def _nothing_gets_through(stage: Stage, dispute: str, promise: Json) -> None:
    """Neither the unconfirmed promise nor the agent's own words for it."""
    refused = stage.post("agent", f"/v1/disputes/{dispute}/relays", _cited(promise), expect=409)
    _must(refused["code"] == "promise_not_confirmed", f"the gate said {refused['code']}")
    stage.say("系统", "客服转告被拒: promise_not_confirmed (商家还没有确认)")
    refused = stage.post("agent", f"/v1/disputes/{dispute}/relays", _words("商家今天一定会给您发货的。"), expect=422)
    _must(refused["code"] == "uncleared_promise", f"the gate said {refused['code']}")
    stage.say("系统", "客服自己的话也不放行: uncleared_promise")


def _set_right(stage: Stage, dispute: str, promise: Json) -> Json:
    """The merchant means another time: that is another canonical text, confirmed by the same act."""
    due_at = (datetime.now(UTC) + timedelta(hours=2)).replace(second=0, microsecond=0)
    change = {"canonical_sha256": promise["canonical_sha256"], "due_at": due_at.isoformat()}
    listed = stage.post("owner", f"/v1/disputes/{dispute}/promises/{promise['id']}/correct", change, expect=200)[
        "items"
    ]
    _must([each["state"] for each in listed] == ["superseded", "confirmed"], f"after the correction: {listed}")
    meant: Json = listed[1]
    _must(meant["canonical_sha256"] != promise["canonical_sha256"], "the corrected text has the old hash")
    stage.say("商家", "在卡片上更正时间,并以此确认")
    stage.say("系统", f"承诺卡片(商家已确认): {meant['canonical']['zh']}")
    return meant


def _keep_it(stage: Stage, dispute: str, line: str, promise: Json) -> None:
    """The carrier picks the parcel up before the time is over."""
    scan = {"parcel": "order", "state": "picked_up", "at": datetime.now(UTC).isoformat(), "order_line_id": line}
    taken = stage.post("marketplace", "/v1/logistics-events", scan, expect=200)
    _must(taken["kept_promises"] == [promise["id"]], f"the scan kept {taken['kept_promises']}")
    stage.say("物流", "已揽收")
    seen = stage.get("buyer", f"/v1/disputes/{dispute}/promises")["items"]
    _must([each["state"] for each in seen] == ["fulfilled"], f"the buyer sees {seen}")
    stage.say("买家", "看到: 承诺已履行")


def nobody_answers(stage: Stage) -> None:
    """The window closes, the session with it, and the merchant gets a ticket instead."""
    stage.title("2. 无人回复: the window closes and a service ticket is issued")
    dispute, _ = _dispute_in_intervention(stage, "silent")
    inquiry = _ask(stage, dispute)
    stage.say("系统", f"等待至 {inquiry['due_at']}(演示策略把 120~180 秒缩短了)…")
    ended = _wait_for(
        lambda: stage.get("agent", f"/v1/inquiries/{inquiry['id']}"), lambda seen: seen["state"] != "awaiting_merchant"
    )
    _must(ended["state"] == "expired", f"the inquiry is {ended['state']}")
    stage.say("系统", "回复时限已到,会话关闭")
    late = stage.post("owner", f"/v1/inquiries/{inquiry['id']}/messages", _words("刚看到,今天发"), expect=409)
    _must(late["code"] == "window_closed", f"a late answer got {late['code']}")
    stage.say("商家", f"刚看到,今天发 → {late['code']}(已留痕,未送达)")
    tickets = [t for t in stage.get("owner", "/v1/service-tickets")["items"] if t["dispute_id"] == dispute]
    _must(len(tickets) == 1 and tickets[0]["cause"] == "TIMEOUT", f"tickets: {tickets}")
    stage.say("系统", f"已向商家发出服务单,须在 {tickets[0]['due_at']} 前处理")


def abuse(stage: Stage) -> None:
    """Stopped, a notice to read, and then an answer as one should give it."""
    stage.title("3. 辱骂: stopped before anyone sees it, and a notice must be read")
    dispute, _ = _dispute_in_intervention(stage, "abuse")
    inquiry = _ask(stage, dispute)
    path = f"/v1/inquiries/{inquiry['id']}/messages"
    stopped = stage.post("owner", path, _words("你是不 是有/病,买不起别买"), expect=403)
    _must(stopped["outcome"] == "notice", f"the insult was {stopped['outcome']}")
    _must(bool(stopped["findings"]), "nothing was found in the insult")
    for finding in stopped["findings"]:
        stage.say("系统", f"命中 {finding['rule']}「{finding['matched']}」: {finding['reason']['zh']}")
    seen = stage.get("agent", f"/v1/inquiries/{inquiry['id']}")["messages"]
    _must(all(m["from_side"] != "merchant" for m in seen), "the insult reached the agent")
    stage.say("客服", "什么也没有看到")
    again = stage.post("owner", path, _words("我们明天下午6点前发货"), expect=403)
    _must(again["notice_id"] == stopped["notice_id"], "a text went out before the notice was read")
    stage.post("owner", f"/v1/moderation/notices/{stopped['notice_id']}/acknowledge", {}, expect=200)
    stage.say("商家", "阅读违规提醒并确认")
    sent = stage.post("owner", path, _words("非常抱歉,我们明天下午6点前给您发货"), expect=201)
    _must(sent["outcome"] == "sent" and sent["answers"], f"the apology was {sent['outcome']}")
    stage.say("商家", "非常抱歉,我们明天下午6点前给您发货 → 已送达")


# --- what every story begins with -----------------------------------------------------------------------------------


def _dispute_in_intervention(stage: Stage, name: str) -> tuple[str, str]:
    """An order, a request, a refusal, and the platform steps in; returns the dispute and its order line."""
    line = _order(stage, name)
    request = {
        "order_line_id": line,
        "type": "refund_only",
        "reason": "not_shipped",
        "amount": {"amount": 12900, "currency": "CNY"},
        "note": "一直不发货",
    }
    opened = stage.post("buyer", "/v1/disputes", request, expect=201)
    dispute = str(opened["id"])
    stage.say("买家", f"申请退款 {opened['number']}")
    stage.act("owner", dispute, "seller-refuse", {"reason": "other", "message": "商品正在备货,请耐心等待"})
    stage.say("商家", "拒绝: 商品正在备货,请耐心等待")
    stage.act("buyer", dispute, "request-intervention", {})
    stage.say("买家", "申请平台介入")
    taken = stage.act("agent", dispute, "accept-dispute", {})
    _must(taken["state"] == "intervening", f"the dispute is {taken['state']}")
    stage.say("客服", "受理")
    return dispute, line


def _order(stage: Stage, name: str) -> str:
    number = f"demo-{stage.run}-{name}"
    money = {"amount": 12900, "currency": "CNY"}
    line = {"id": f"{number}-1", "title": "棉麻衬衫", "quantity": 1, "paid": money, "refundable": money}
    order = {
        "id": number,
        "merchant_id": "demo-shop-1",
        "buyer_id": "demo-buyer-1",
        "updated_at": datetime.now(UTC).isoformat(),
        "lines": [line],
    }
    stage.post("marketplace", "/v1/orders", order, expect=200)
    return str(line["id"])


def _ask(stage: Stage, dispute: str) -> Json:
    inquiry = stage.post(
        "agent",
        f"/v1/disputes/{dispute}/inquiries",
        {"client_message_id": _once(), "text": QUESTION},
        expect=201,
    )
    _must(inquiry["state"] == "awaiting_merchant", f"the inquiry is {inquiry['state']}")
    stage.say("客服", QUESTION)
    return inquiry


def _cited(promise: Json) -> Json:
    return {"client_message_id": _once(), "promise_ids": [promise["id"]]}


def _words(text: str) -> Json:
    return {"client_message_id": _once(), "text": text}


def _once() -> str:
    return uuid.uuid4().hex


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise WentWrong(otherwise)


def _wait_for(look: Callable[[], Json], until: Callable[[Json], bool]) -> Json:
    ends = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < ends:
        seen = look()
        if until(seen):
            return seen
        time.sleep(0.5)
    raise WentWrong(f"nothing happened in {WAIT_SECONDS_MAX:.0f} s")
