"""A login travels through the whole stack."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.servers.house import CODE2SESSION
from tests.servers.http import call

if TYPE_CHECKING:
    from tests.servers.house import House

TOKENS = {
    "access_token",
    "token_type",
    "expires_in",
    "refresh_in",
    "refresh_token",
    "refresh_expires_in",
    "session_id",
}


def test_login_gives_tokens_user_and_a_hint(house: House) -> None:
    data = house.login().data

    assert set(data) >= TOKENS | {"user", "enrichment", "is_new"}
    assert data["token_type"] == "Bearer"
    assert data["expires_in"] <= 900
    assert data["user"]["id"].startswith("u_")
    assert data["enrichment"]["state"] in {"pending", "done"}


def test_me_answers_right_after_login(house: House) -> None:
    data = house.login().data

    me = house.api("GET", "/me", token=data["access_token"]).data

    assert me["id"] == data["user"]["id"]
    assert me["is_guest"] is False


def test_enrichment_reaches_every_table(house: House) -> None:
    data = house.login(device="phone-rows").data
    user_id = data["user"]["id"]

    house.wait_enriched(user_id)

    assert len(house.sql("SELECT * FROM identities WHERE user_id = ?", user_id)) == 1
    assert len(house.sql("SELECT * FROM login_events WHERE user_id = ?", user_id)) == 1
    devices = house.sql("SELECT device_id FROM devices WHERE user_id = ?", user_id)
    assert devices == [{"device_id": "phone-rows"}]
    sessions = house.sql("SELECT id FROM sessions WHERE user_id = ?", user_id)
    assert sessions == [{"id": data["session_id"]}]
    events = house.sql("SELECT type, seq FROM user_events WHERE user_id = ?", user_id)
    assert events == [{"type": "login.enriched", "seq": 1}]


def test_each_login_counts_once(house: House) -> None:
    openid = house.wechat.user()["openid"]
    logins = [house.login(openid).data for _ in range(5)]

    user_id = logins[0]["user"]["id"]
    house.wait_enriched(user_id, logins=5)

    assert {data["user"]["id"] for data in logins} == {user_id}
    assert len({data["session_id"] for data in logins}) == 5


def test_one_code_fifty_times_is_one_login(house: House) -> None:
    code = house.wechat.code(house.wechat.user()["openid"])
    before = house.wechat.calls(CODE2SESSION)
    body = {"code": code, "device": {"id": "phone-50"}}

    with ThreadPoolExecutor(50) as pool:
        send = lambda _: house.api("POST", "/auth/login", body=body)  # noqa: E731
        answers = [answer.data for answer in pool.map(send, range(50))]

    assert house.wechat.calls(CODE2SESSION) - before == 1
    assert all(data == answers[0] for data in answers)
    house.wait_enriched(answers[0]["user"]["id"], logins=1)


def test_a_repeated_code_gives_the_same_session(house: House) -> None:
    code = house.wechat.code(house.wechat.user()["openid"])
    before = house.wechat.calls(CODE2SESSION)

    first = house.api("POST", "/auth/login", body={"code": code}).data
    again = house.api("POST", "/auth/login", body={"code": code}).data

    assert again["session_id"] == first["session_id"]
    assert house.wechat.calls(CODE2SESSION) - before == 1


def test_an_invented_code_is_refused(house: House) -> None:
    answer = house.api("POST", "/auth/login", body={"code": "0" * 32})

    assert (answer.status, answer.reason) == (400, "login_code_invalid")
    assert answer.json["action"] == "relogin"


def test_profile_change_is_stored_shown_and_told(house: House) -> None:
    data = house.login().data
    token, user_id = data["access_token"], data["user"]["id"]

    changed = house.api("PATCH", "/me", token=token, body={"nickname": "小快"}).data

    assert changed["nickname"] == "小快"
    assert house.api("GET", "/me", token=token).data["nickname"] == "小快"
    query = "SELECT COUNT(*) AS n FROM user_events WHERE user_id = ? AND type = ?"
    assert house.sql(query, user_id, "profile.updated") == [{"n": 1}]


def test_refresh_gives_a_successor_and_logout_ends_it(house: House) -> None:
    data = house.login().data

    body = {"refresh_token": data["refresh_token"]}
    fresh = house.api("POST", "/auth/refresh", body=body).data
    token = fresh["access_token"]
    assert house.api("GET", "/me", token=token).status == 200

    gone = house.api("POST", "/auth/logout", token=token, body={"scope": "this"}).data
    assert gone["revoked"] == 1
    assert house.api("GET", "/me", token=token).reason == "session_revoked"
    body = {"refresh_token": fresh["refresh_token"]}
    assert house.api("POST", "/auth/refresh", body=body).reason == "session_revoked"


def test_no_token_is_no_entry(house: House) -> None:
    answer = house.api("GET", "/me")

    assert (answer.status, answer.reason) == (401, "token_missing")


def test_hello(house: House) -> None:
    answer = call("GET", house.url("web") + "/api/hello")

    assert answer.data["message"]
