"""The support view of a running house, asked with curl as the runbook does."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any

from tests.servers.process import wait_until

if TYPE_CHECKING:
    from tests.servers.house import House

UNKNOWN = "tasks.profile.warm_user_cache"


def curl(house: House, path: str, *options: str) -> tuple[int, Any]:
    """Call an admin route with the token in the header; returns status and data."""
    header = f"Authorization: Bearer {house.secret('admin_token')}"
    url = f"{house.url('ops')}/admin/v1{path}"
    command = ["curl", "-s", "-w", "\n%{http_code}", "-H", header, *options, url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)["data"]


def make_dead(house: House, row_id: str) -> None:
    """Set a finished row aside, as a fault of old would have left it."""
    with sqlite3.connect(house.var / "kuaida.db", timeout=10) as link:
        link.execute(
            "UPDATE outbox SET state = 'dead', attempts = 5, last_error = 'Busy -1' "
            "WHERE id = ?",
            (row_id,),
        )


def finished_row(house: House) -> dict[str, Any]:
    """Change a profile and return the row of the work that followed."""
    data = house.login().data
    house.wait_enriched(data["user"]["id"])
    house.api("PATCH", "/me", token=data["access_token"], body={"city": "上海"})
    query = "SELECT * FROM outbox WHERE subject_id = ? AND name = ? AND state = 'done'"
    rows: list[dict[str, Any]] = []

    def done() -> bool:
        rows[:] = house.sql(query, data["user"]["id"], UNKNOWN)
        return bool(rows)

    wait_until(done, within_s=60, what="the work is done")
    return rows[0]


def test_work_is_found_by_any_id_and_run_again(house: House) -> None:
    row = finished_row(house)

    status, timeline = curl(house, f"/timeline/{row['request_id']}")
    told = {(entry["kind"], entry["what"]) for entry in timeline["entries"]}
    assert status == 200
    assert {("event", "accepted"), ("task", "done")} <= told
    assert ("user_event", "profile.updated") in told
    assert "上海" not in json.dumps(timeline, ensure_ascii=False)
    assert curl(house, f"/timeline/{row['id']}.1")[1]["entries"]
    assert curl(house, "/timeline/ob_nobody")[0] == 404

    make_dead(house, row["id"])
    status, page = curl(house, "/outbox?state=dead")
    assert row["id"] in {item["id"] for item in page["items"]}
    assert curl(house, f"/outbox/{row['id']}/replay", "-X", "POST")[0] == 200

    def closed() -> bool:
        found = house.sql("SELECT state FROM outbox WHERE id = ?", row["id"])
        return str(found[0]["state"]) == "done"

    wait_until(closed, within_s=60, what="the replayed work is done")
    assert curl(house, f"/outbox/{row['id']}/replay", "-X", "POST")[0] == 409
    acts = house.sql("SELECT act FROM audit_log WHERE subject_id = ?", row["id"])
    assert acts == [{"act": "outbox.replay"}]


def test_many_are_discarded_by_filter(house: House) -> None:
    row = finished_row(house)
    make_dead(house, row["id"])

    wanted = {"reason": "a test", "last_error_contains": "Busy"}
    status, told = curl(house, "/outbox/discard", "--json", json.dumps(wanted))

    assert (status, told["ids"], told["remaining"]) == (200, [row["id"]], 0)


def test_queues_and_schedule_of_a_living_house(house: House) -> None:
    status, queues = curl(house, "/queues")
    assert (status, queues["away"]) == (200, [])
    by_lane = {lane["lane"]: lane for lane in queues["items"]}
    assert by_lane["logins"]["process"] == "worker"
    assert {lane["dead"] for lane in by_lane.values()} == {0}
    assert all(lane["silent_ms"] < 30_000 for lane in by_lane.values())

    def ran() -> bool:
        lines = curl(house, "/schedule")[1]["items"]
        return any(line["last"] and line["last"]["state"] == "done" for line in lines)

    # The clock's own runs come every 15 seconds.
    wait_until(ran, within_s=60, what="a slot is done")
    page = house.ops("/metrics").body.decode()
    assert re.search(r'kuaida_schedule_last_done_seconds\{job="sweep', page)
    assert 'kuaida_last_sign_of_life_seconds{process="beat"}' in page


def test_strangers_see_nothing(house: House) -> None:
    for path in ("/outbox", "/queues", "/schedule", "/timeline/x"):
        assert house.ops(f"/admin/v1{path}").status == 401
