"""Ids that sort by time, and scripts known by their hash."""

from __future__ import annotations

import hashlib
import string

from hypothesis import given
from hypothesis import strategies as st

from config.clock import now_ms, sleep
from models.base import made_at, new_id
from models.stores.keys import Keys
from models.stores.scripts import FOLDER, load_script
from models.users import Profile, User, profile_of

NAMES = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=20)


def test_ids_differ_and_sort_by_time() -> None:
    first = {new_id("ob") for _ in range(500)}
    sleep(0.002)
    later = new_id("ob")

    assert len(first) == 500
    assert max(first) < later
    assert {len(name) for name in first} == {29}


def test_an_id_tells_when_it_was_made() -> None:
    before = now_ms()

    assert before <= (made_at(new_id("se")) or 0) <= now_ms()
    assert made_at(new_id("ob", 1_700_000_000_123)) == 1_700_000_000_123
    for name in (
        "",
        "se_1",
        "g_" + "0" * 26 + "x",
        "u_" + "z" * 26,
        new_id("se") + " ",
    ):
        assert made_at(name) is None


def test_a_script_is_known_by_its_hash() -> None:
    script = load_script("release")

    assert script.sha1 == hashlib.sha1(script.source.encode()).hexdigest()  # noqa: S324


def test_a_script_with_a_shared_part_carries_it_in_front() -> None:
    parts = [
        (FOLDER / f"{name}.lua").read_text("utf-8")
        for name in ("clock", "refusals", "buckets", "behaviour")
    ]

    assert load_script("admit_request").source.startswith("".join(parts))
    assert load_script("admit_login").source.startswith("".join(parts[:3]))


@given(first=NAMES, second=NAMES)
def test_deployments_with_other_prefixes_share_no_key(first: str, second: str) -> None:
    one, two = Keys(first), Keys(second)

    assert (one.session("x") == two.session("x")) == (first == second)
    assert (one.logins == two.logins) == (first == second)


def test_a_profile_is_complete_once_it_has_a_name() -> None:
    user = User(id="u_1", is_guest=False, created_at=1, login_count=2, last_login_at=3)

    assert profile_of(user).profile_state == "basic"
    user.nickname = "小王"
    assert profile_of(user).profile_state == "complete"
    assert Profile("u_1").profile_state == "pending"
