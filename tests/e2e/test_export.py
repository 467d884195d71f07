"""A person asks for their data, waits, and fetches the file; through the stack."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from tests.servers.http import call
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from tests.servers.house import House


def test_an_export_is_awaited_and_its_file_is_whole(house: House) -> None:
    openid = house.wechat.user()["openid"]
    login = house.login(openid).data
    token, user_id = login["access_token"], login["user"]["id"]
    house.wait_enriched(user_id)

    operation = house.api("GET", "/me/export?wait_ms=5000", token=token).data[
        "operation"
    ]

    assert (operation["state"], operation["percent"]) == ("succeeded", 100)
    file = operation["result"]["file"]
    answer = call("GET", house.url("web") + file["path"], token=token)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == file["content_type"]
    assert file["name"] in answer.headers["Content-Disposition"]
    assert len(answer.body) == file["bytes"]
    assert hashlib.sha256(answer.body).hexdigest() == file["sha256"]
    told = json.loads(answer.body)
    assert [row["id"] for row in told["profile"]] == [user_id]
    assert len(told["login_history"]) == 1
    assert openid.encode() not in answer.body


def test_an_export_right_after_a_login_tells_of_it(house: House) -> None:
    login = house.login().data
    token = login["access_token"]

    operation = house.api("GET", "/me/export?wait_ms=5000", token=token).data[
        "operation"
    ]
    path = f"/operations/{operation['id']}"

    def over() -> bool:
        seen = house.api("GET", path, token=token).data
        return bool(seen["operation"]["state"] == "succeeded")

    # It mostly ends inside the wait; a busy machine may take longer.
    wait_until(over, within_s=60, what="the export ends")
    answer = call("GET", f"{house.url('web')}/api/v1{path}/file", token=token)
    told = json.loads(answer.body)
    assert told["pending_login"] is False
    assert told["profile"][0]["login_count"] == 1
    for section in ("identities", "sessions", "devices", "login_history"):
        assert len(told[section]) == 1, section


def test_the_way_of_an_export_is_told_on_the_events_channel(house: House) -> None:
    login = house.login().data
    token, user_id = login["access_token"], login["user"]["id"]
    operation = house.api("GET", "/me/export", token=token).data["operation"]

    def over() -> bool:
        seen = house.api("GET", f"/operations/{operation['id']}", token=token).data
        return bool(seen["operation"]["state"] == "succeeded")

    wait_until(over, within_s=60, what="the export ends")

    query = "SELECT data FROM user_events WHERE user_id = ? AND type = ? ORDER BY seq"
    rows = house.sql(query, user_id, "operation.updated")
    states = [json.loads(row["data"])["state"] for row in rows]
    assert states[:2] == ["accepted", "running"]
    assert states[-1] == "succeeded"


def test_what_is_over_or_anothers_is_out_of_reach(house: House) -> None:
    token = house.login().data["access_token"]
    stranger = house.login().data["access_token"]
    started = house.api("GET", "/me/export?wait_ms=5000", token=token).data
    path = f"/operations/{started['operation']['id']}"

    assert house.api("GET", path, token=stranger).reason == "not_found"
    assert house.api("GET", f"{path}/file", token=stranger).reason == "not_found"
    key = {"Idempotency-Key": "cancel-1"}
    tries = [
        house.api("POST", f"{path}/cancel", token=token, headers=key) for _ in range(2)
    ]
    assert [(x.status, x.reason) for x in tries] == [(409, "state_forbids")] * 2
    assert tries[1].headers.get("Idempotent-Replayed") == "true"
