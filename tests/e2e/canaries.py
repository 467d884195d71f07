"""Known secrets that go through every flow of a house, to be looked for everywhere.

`tests/e2e/test_canary.py` does it with a few, the identity report with a thousand.
"""

from __future__ import annotations

import base64
import secrets as random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.e2e.places import disguises, places
from tests.e2e.test_notifications import DATA, SEND, Sender
from tests.servers.house import CODE2SESSION
from tests.servers.http import call
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.house import House
    from tests.servers.http import Answer

PHONE_CALL = "/wxa/business/getuserphonenumber"
CHECK = "/wxa/checksession"
ALWAYS = ("jwt_key", "data_key", "id_key", "admin_token", "wechat_secret")


@dataclass
class Canaries:
    """The secrets in play and every error body the house gave."""

    known: dict[str, str] = field(default_factory=dict)
    errors: list[Answer] = field(default_factory=list)

    def keep(self, name: str, secret: str) -> str:
        """Remember a secret under a name that tells the flow."""
        self.known[f"{name} #{len(self.known)}"] = secret
        return secret

    def note(self, answer: Answer, *, names_fields: bool = False) -> None:
        """Remember an answer that must be an error.

        One that ``names_fields`` repeats the names its own sender made up; these
        are looked for everywhere else.
        """
        assert answer.status >= 400, answer.body
        if not names_fields:
            self.errors.append(answer)


def draw(head: str) -> str:
    """Return a text that occurs nowhere by chance."""
    return head + random.token_hex(12)


def draw_key() -> str:
    """Return a session_key of WeChat's shape: base64 of 16 bytes."""
    return base64.b64encode(random.token_bytes(16)).decode()


def good_login(house: House, birds: Canaries) -> dict[str, str]:
    """Log in a user whose everything is a canary."""
    openid = birds.keep("openid", draw("oCANARY"))
    phone = birds.keep("phone", "139" + str(random.randbelow(10**8)).zfill(8))
    key = birds.keep("session_key", draw_key())
    unionid = birds.keep("unionid", draw("uCANARY"))
    known = {"openid": openid, "phone": phone, "unionid": unionid, "session_key": key}
    house.wechat.user(**known)
    code = birds.keep("code", house.wechat.code(openid))
    body = {"code": code, "device": {"id": draw("phone-"), "model": "CanaryPhone"}}
    data = house.api("POST", "/auth/login", body=body).data
    birds.keep("access_token", data["access_token"])
    birds.keep("refresh_token", data["refresh_token"])
    house.wait_enriched(data["user"]["id"])
    return {**data, "openid": openid, "code": code, "phone": phone}


def opening_data(house: House, birds: Canaries, user: dict[str, str]) -> None:
    """Open data rightly, and in every wrong way."""
    token, wechat = user["access_token"], house.wechat

    def decrypt(given: dict[str, Any]) -> Answer:
        birds.keep("encrypted data", given["encrypted_data"])
        return house.api("POST", "/me/decrypt", token=token, body=given)

    for kind in ("user_info", "phone", "werun", "group"):
        assert decrypt(wechat.encrypt(user["openid"], kind)).status == 200
    good = wechat.encrypt(user["openid"])
    text = good["encrypted_data"]
    for wrong in ("!" + text[1:], text[:-8], text[:-24] + "A" * 24):
        birds.note(decrypt({**good, "encrypted_data": wrong}))
    birds.note(decrypt({**good, "signature": user["openid"]}))
    birds.note(decrypt({**good, "iv": None}))
    named = birds.keep("openid", draw("oCANARY"))
    birds.note(decrypt(wechat.encrypt(user["openid"], openId=named)))
    birds.note(decrypt(wechat.encrypt(user["openid"], "phone", watermark=None)))
    wechat.fault(CHECK, "half_json")
    birds.note(decrypt({**good, "encrypted_data": text[:-16]}))
    wechat.heal()


def binding_phones(
    house: House, birds: Canaries, user: dict[str, str], other: dict[str, str]
) -> None:
    """Bind a number by code and by data; fail at both, and meet another account."""
    wechat = house.wechat

    def bind(person: dict[str, str], **given: str) -> Answer:
        head = {"Idempotency-Key": draw("k-")}
        token = person["access_token"]
        return house.api("POST", "/me/phone", token=token, body=given, headers=head)

    def new_code(person: dict[str, str]) -> str:
        return birds.keep("phone code", wechat.code(person["openid"], "phone"))

    for mode in ("half_json", "http500", "accept_then_reset"):
        wechat.fault(PHONE_CALL, mode)
        birds.note(bind(user, code=new_code(user)))
        wechat.heal()
    assert bind(user, code=new_code(user)).status == 200
    birds.note(bind(user, code=birds.keep("phone code", draw("code-"))))
    birds.note(bind(user, code=new_code(other)))
    made = wechat.encrypt(user["openid"], "phone")
    data = {"encrypted_data": made["encrypted_data"], "iv": made["iv"]}
    assert bind(user, **data).status == 200
    birds.note(bind(user, code=new_code(user), **data))
    birds.note(bind(other, **data))
    wechat.user(openid=other["openid"], phone=user["phone"])
    birds.note(bind(other, code=new_code(other)))
    wechat.user(openid=other["openid"], phone=other["phone"])


def losing_keys(house: House, birds: Canaries, user: dict[str, str]) -> None:
    """Have the session_key replaced by support, and behind our back."""
    given = house.wechat.encrypt(user["openid"])
    name = user["user"]["id"]  # type: ignore[index]
    path = f"/admin/v1/users/{name}/reset-session-key"
    admin = house.secret("admin_token")
    url = house.url("ops") + path
    assert call("POST", url, token=admin).status == 200
    token = user["access_token"]
    birds.note(house.api("POST", "/me/decrypt", token=token, body=given))
    house.wechat.login_elsewhere(user["openid"])
    birds.note(house.api("POST", "/me/decrypt", token=token, body=given))


def reading_and_writing(house: House, birds: Canaries, user: dict[str, str]) -> None:
    """Use the tokens rightly and wrongly."""
    token = user["access_token"]
    assert house.api("GET", "/me", token=token).status == 200
    assert house.api("PATCH", "/me", token=token, body={"city": "广州"}).status == 200
    birds.note(house.api("GET", f"/me?access_token={token}"))
    birds.note(house.api("GET", "/me", token=token[:-3] + "abc"))
    birds.note(house.api("GET", "/me", headers={"Authorization": token}))
    birds.note(house.api("GET", f"/nowhere/{token}"))
    odd = house.api("PATCH", "/me", token=token, body={token: user["openid"]})
    birds.note(odd, names_fields=True)
    birds.note(house.api("PATCH", "/me", token=token, body={"gender": user["code"]}))
    birds.note(house.api("GET", "/me", token=token, headers={"X-Timeout-Ms": token}))


def rotating(house: House, birds: Canaries, user: dict[str, str]) -> None:
    """Refresh, misuse and end the session."""
    old = {"refresh_token": user["refresh_token"]}
    fresh = house.api("POST", "/auth/refresh", body=old).data
    birds.keep("access_token", fresh["access_token"])
    birds.keep("refresh_token", fresh["refresh_token"])
    wrong = {"refresh_token": fresh["access_token"]}
    birds.note(house.api("POST", "/auth/refresh", body=wrong))
    body = {"scope": "all"}
    done = house.api("POST", "/auth/logout", token=fresh["access_token"], body=body)
    assert done.status == 200
    spent = {"refresh_token": fresh["refresh_token"]}
    birds.note(house.api("POST", "/auth/refresh", body=spent))
    birds.note(house.api("GET", "/me", token=fresh["access_token"]))


def failing_logins(house: House, birds: Canaries) -> None:
    """Meet every way in which WeChat and a client can fail."""
    openid = birds.keep("openid", draw("oCANARY"))
    house.wechat.user(openid=openid, session_key=birds.keep("key", draw_key()))
    faults: list[dict[str, Any]] = [
        {"mode": "error", "errcode": 40029},
        {"mode": "error", "errcode": 40226},
        {"mode": "error", "errcode": 45011},
        {"mode": "error", "errcode": 40125},
        {"mode": "error", "errcode": -1},
        {"mode": "half_json"},
        {"mode": "http500"},
        {"mode": "reset"},
        {"mode": "accept_then_reset"},
        {"mode": "stall"},
    ]
    for fault in faults:
        house.wechat.fault(CODE2SESSION, **fault)
        code = birds.keep("code", house.wechat.code(openid))
        head = {"X-Timeout-Ms": "1500"}
        body = {"code": code, "device": {"id": draw("phone-")}}
        birds.note(house.api("POST", "/auth/login", body=body, headers=head))
        house.wechat.heal()
    for broken in (b'{"code": "%s"', b'{"code": "%s", "code": 1}', b'["%s"]'):
        code = birds.keep("code", house.wechat.code(openid))
        raw = broken % code.encode()
        birds.note(house.api("POST", "/auth/login", body=raw))
    code = birds.keep("code", house.wechat.code(openid))
    odd = house.api("POST", "/auth/login", body={"code": code, openid: code})
    birds.note(odd, names_fields=True)


def messaging(house: House, birds: Canaries, user: dict[str, Any]) -> None:
    """Have messages sent, refused, lost on the way and turned away."""
    text = birds.keep("message", random.token_hex(10))
    sender = Sender(house, user["openid"], user["user"]["id"])
    data = {**DATA, "thing2": text}
    sender.wait(sender.send(data=data, dedupe_key=draw("k-")), "sent")
    sender.wait(sender.send(data=data), "failed")
    house.wechat.fault(SEND, "half_json", times=1)
    sender.wait(sender.send(data=data), "unknown")
    wrong = {**sender.body(), "data": {**DATA, "thing2": text * 2}}
    birds.note(sender.ask("POST", body=wrong))
    birds.note(sender.ask("POST", body={**sender.body(), "user_id": user["openid"]}))


def internal_door(house: House, birds: Canaries) -> None:
    """Knock at the internal listener with right and wrong tokens."""
    admin = house.secret("admin_token")
    birds.note(house.ops("/admin/v1/outbox?state=dead", token=admin + "x"))
    birds.note(house.ops(f"/admin/v1/{admin}", token=admin))
    birds.note(house.ops(f"/admin/v1/outbox?token={admin}"))


def hits(house: House, birds: Canaries) -> Iterator[str]:
    """Yield each place, and each error, in which a secret came to light."""
    forms = {name: disguises(secret) for name, secret in birds.known.items()}
    told = [
        (f"an error: {answer.status} {answer.reason}", answer.body)
        for answer in birds.errors
    ]
    for place, content in (*places(house), *told):
        for name, variants in forms.items():
            if any(form in content for form in variants):
                yield f"{name} in {place}"


def heal(house: House) -> None:
    """Wait until the breaker that failing logins opened has closed."""
    wait_until(lambda: house.login().status == 200, within_s=60, what="login heals")
