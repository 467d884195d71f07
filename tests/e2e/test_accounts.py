"""Guests, sessions, bans and the support view in a running house."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from config.clock import sleep
from tests.e2e.test_support import curl
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from tests.servers.house import House

PROCESSES = 4


def guest(house: House) -> Any:
    body = {"device": {"id": "phone-g", "model": "M"}}
    return house.api("POST", "/auth/guest", body=body).data


def log_in_with(house: House, token: str, openid: str) -> Any:
    body = {"code": house.wechat.code(openid), "guest_token": token}
    return house.api("POST", "/auth/login", body=body)


def me(house: House, login: Any) -> Any:
    return house.api("GET", "/me", token=login["access_token"])


def test_a_guest_logs_in_and_keeps_what_it_had(house: House) -> None:
    entered = guest(house)
    assert me(house, entered).data["is_guest"]
    renamed = {"nickname": "小明"}
    house.api("PATCH", "/me", token=entered["access_token"], body=renamed)
    openid = house.wechat.user()["openid"]

    answer = log_in_with(house, entered["access_token"], openid).data

    assert answer["user"]["id"] == entered["user"]["id"]
    assert me(house, answer).data["nickname"] == "小明"
    assert me(house, entered).reason == "session_revoked"
    assert house.login(openid).data["user"]["id"] == entered["user"]["id"]
    house.wait_enriched(entered["user"]["id"], logins=3)
    assert not me(house, answer).data["is_guest"]


def test_a_token_of_nobody_costs_no_code(house: House) -> None:
    openid = house.wechat.user()["openid"]
    body = {"code": house.wechat.code(openid), "guest_token": "x.y.z"}

    assert house.api("POST", "/auth/login", body=body).reason == "token_invalid"
    del body["guest_token"]
    assert house.api("POST", "/auth/login", body=body).data["access_token"]


def test_guests_enter_while_wechat_is_down(house: House) -> None:
    house.wechat.fault("/sns/jscode2session", "http500")

    assert me(house, guest(house)).data["is_guest"]


def test_sessions_are_listed_with_devices_and_ended(house: House) -> None:
    openid = house.wechat.user()["openid"]
    first = house.login(openid, "phone-1").data
    assert [s["current"] for s in sessions(house, first)] == [True]
    house.wait_enriched(first["user"]["id"])
    second = house.login(openid, "phone-2").data
    house.wait_enriched(first["user"]["id"], logins=2)

    listed = sessions(house, first)
    assert [s["device"]["id"] for s in listed] == ["phone-2", "phone-1"]
    assert [s["current"] for s in listed] == [False, True]
    path = f"/sessions/{second['session_id']}"
    ended = house.api("DELETE", path, token=first["access_token"])
    assert ended.data == {"revoked": 1}
    assert me(house, second).reason == "session_revoked"
    events = house.api("GET", "/events?cursor=0", token=first["access_token"]).data
    assert "device.added" in {event["type"] for event in events["events"]}


def sessions(house: House, login: Any) -> Any:
    return house.api("GET", "/sessions", token=login["access_token"]).data["items"]


def test_a_ban_holds_everywhere_and_ends_what_waits(house: House) -> None:
    openid = house.wechat.user()["openid"]
    login = house.login(openid).data
    code = me(house, login).data["support_code"]
    poll = "/events?cursor=0&wait_ms=20000"
    house.wait_enriched(login["user"]["id"])
    house.api("GET", poll, token=login["access_token"])

    with ThreadPoolExecutor(1) as pool:
        poll = "/events?wait_ms=20000"
        token = login["access_token"]
        waiting = pool.submit(house.api, "GET", poll, token=token)
        sleep(0.3)
        reason = json.dumps({"reason": "spam"})
        status, done = curl(house, f"/users/{code}/ban", "--json", reason)
        told = waiting.result(10).data["events"]

    assert (status, done["banned"], done["revoked"]) == (200, True, 1)
    assert [event["type"] for event in told] == ["session.revoked"]
    # Whichever process answers.
    for _ in range(4 * PROCESSES):
        assert me(house, login).reason == "user_banned"
    assert house.login(openid).reason == "user_banned"
    refresh = {"refresh_token": login["refresh_token"]}
    assert house.api("POST", "/auth/refresh", body=refresh).reason == "user_banned"

    _, account = curl(house, f"/users/{openid}")
    assert account["user"]["id"] == login["user"]["id"]
    assert account["standing"]["banned_at"]
    assert [event["kind"] for event in account["security_events"]] == ["banned"]
    assert openid not in json.dumps(account)
    assert curl(house, f"/users/{openid}/unban", "-X", "POST")[0] == 200
    assert house.login(openid).data["access_token"]
    assert curl(house, "/users/u_nobody")[0] == 404
    acts = house.sql(
        "SELECT act FROM audit_log WHERE subject_id = ? ORDER BY id",
        login["user"]["id"],
    )
    assert [row["act"] for row in acts] == ["user.ban", "user.unban"]


def test_a_stream_ends_with_the_ban_of_its_user(house: House) -> None:
    login = house.login().data
    house.wait_enriched(login["user"]["id"])
    head = (
        "Accept: application/x-ndjson",
        f"Authorization: Bearer {login['access_token']}",
    )
    command = ["curl", "-sN", "--max-time", "30", f"{house.url('web')}/api/v1/events"]
    for line in head:
        command += ["-H", line]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stream:
        sleep(0.5)
        curl(house, f"/users/{login['user']['id']}/ban", "-X", "POST")
        told, _ = stream.communicate(timeout=20)

    last = json.loads(told.splitlines()[-1])
    assert (last["type"], last["data"]["reason"]) == ("session.revoked", "banned")
    # The stream ended by itself: curl did not have to give up.
    assert stream.returncode == 0


def test_a_wiped_redis_forgets_no_ban(house: House) -> None:
    openid = house.wechat.user()["openid"]
    login = house.login(openid).data
    curl(house, f"/users/{login['user']['id']}/ban", "-X", "POST")
    house.redis().flushall()

    assert me(house, login).reason == "user_banned"
    assert house.login(openid).reason == "user_banned"
    mark = "kuaida:standings"
    wait_until(
        lambda: bool(house.redis().exists(mark)), within_s=60, what="standings loaded"
    )
    assert house.login(openid).reason == "user_banned"
