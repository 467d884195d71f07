"""How long data takes that cannot be opened, by what is wrong with it."""

from __future__ import annotations

import base64
import os
import random
from typing import TYPE_CHECKING, NamedTuple

from config.clock import Deadline, monotonic
from config.settings import load_settings
from models.errors import OpenDataRefused
from tests.bench.report import table
from tests.identity.rank import SURE, kruskal_wallis, largest_t, spread
from tests.identity.section import Findings, Section
from tests.integration.private_house import OPENID, private_house
from tests.servers.phone import Phone
from tests.servers.stack import Stack, standing
from wechat.crypto import seal_open_data
from wechat.open_data import SealedData, open_sealed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.private_house import PrivateHouse

CAUSES = ("base64", "length", "padding", "json")
EACH, EACH_OVER_HTTP = 5000, 1000
US_PER_S = 1e6
HEAD = ("where", "cause", "n", "p10 µs", "p50 µs", "p90 µs")
# As long as user info is.
PLAIN = b'{"nickName":"' + b"x" * 300 + b'"'
Times = dict[str, list[float]]


class Sample(NamedTuple):
    """Data that cannot be opened for one cause."""

    cause: str
    data: SealedData


def samples(session_key: str, each: int) -> list[Sample]:
    """Return ``each`` of every cause, interleaved at random, equally long."""
    made = [Sample(cause, spoiled(cause, session_key)) for cause in CAUSES] * each
    random.shuffle(made)
    return made


def spoiled(cause: str, session_key: str) -> SealedData:
    """Return data with one thing wrong."""
    iv = os.urandom(16)
    # JSON that breaks off at its very end; its padding is right.
    text = seal_open_data(PLAIN, session_key=session_key, iv=iv)
    if cause == "base64":
        text = text[:-5] + "!" + text[-4:]
    elif cause == "length":
        text = text[:-8] + "A" * 5 + "==="
    elif cause == "padding":
        raw = bytearray(base64.b64decode(text))
        raw[-17] ^= 0x40
        text = base64.b64encode(raw).decode()
    return SealedData(text, base64.b64encode(iv).decode())


def measured(
    given: list[Sample], ask: Callable[[SealedData], object]
) -> tuple[Times, set[object]]:
    """Return the times in µs by cause, and all the different answers."""
    times: Times = {cause: [] for cause in CAUSES}
    answers: set[object] = set()
    for sample in given:
        began = monotonic()
        answer = ask(sample.data)
        times[sample.cause].append((monotonic() - began) * US_PER_S)
        answers.add(answer)
    return times, answers


def run(folder: Path) -> Findings:
    """Measure the opening alone, the service around it, and the route."""
    found = Findings()
    rows: list[list[str]] = []
    with standing(Stack(folder), "wechat", "web") as stack:
        settings = load_settings(stack.environment, env_file=None)
        with private_house(settings) as house:
            note(found, rows, "opening alone", *opening_alone(house))
            note(found, rows, "service", *in_service(house))
        note(found, rows, "over HTTP", *over_http(stack))
    found.table = table(HEAD, rows)
    return found


def opening_alone(house: PrivateHouse) -> tuple[Times, set[object]]:
    """Measure the deciphering without the floor that the service adds."""
    me = house.join(OPENID)
    keys = house.stores.wechat_keys.load(me.app_id, me.user_id).texts
    given = samples(keys[0], EACH)
    return measured(given, lambda data: open_sealed(data, keys))


def in_service(house: PrivateHouse) -> tuple[Times, set[object]]:
    """Measure what a request waits for, Redis included."""
    me = house.join(OPENID)
    (key, *_) = house.stores.wechat_keys.load(me.app_id, me.user_id).texts

    def ask(data: SealedData) -> object:
        try:
            return house.open_data.show(me, data, None, Deadline.after_ms(5000))
        except OpenDataRefused as refused:
            return refused.reason

    return measured(samples(key, EACH), ask)


def over_http(stack: Stack) -> tuple[Times, set[object]]:
    """Measure the route as a client does, one request after the other."""
    person = Phone(stack)
    key = base64.b64encode(os.urandom(16)).decode()
    stack.wechat.user(openid=person.openid, session_key=key)
    person.login()
    token = person.data["access_token"]

    def ask(data: SealedData) -> object:
        body = {"encrypted_data": data.encrypted_data, "iv": data.iv}
        answer = person.api("POST", "/me/decrypt", token=token, body=body)
        told = {**answer.json, "request_id": "", "server_time": 0}
        return answer.status, str(sorted(told.items()))

    return measured(samples(key, EACH_OVER_HTTP), ask)


def note(
    found: Findings,
    rows: list[list[str]],
    where: str,
    times: Times,
    answers: set[object],
) -> None:
    """Write down one measurement and what it shows."""
    found.expect(len(answers) == 1, f"{where}: {len(answers)} different answers")
    for cause in CAUSES:
        count, *points = spread(times[cause])
        rows.append([where, cause, str(count), *(f"{point:.1f}" for point in points)])
    medians = [spread(times[cause]).p50 for cause in CAUSES]
    t = largest_t(times)
    found.figures[where] = (
        f"{len(answers)} answer; medians at most {max(medians) - min(medians):.1f} µs "
        f"apart ({(max(medians) / min(medians) - 1):.2%}); Kruskal-Wallis p = "
        f"{kruskal_wallis(times):.3g}; largest Welch t = {t:.1f} "
        f"({'told apart' if t > SURE else 'not told apart'} at {SURE})"
    )


SECTION = Section(
    name="decrypt-timing",
    title="Timing of bad decrypts",
    about=(
        "20,000 texts that cannot be opened, four causes interleaved at random, "
        "equally long; in this process once as the opening alone and once as the "
        "service with its floor of `DECRYPT_REFUSAL_MS`, and 4,000 over HTTP. The "
        "opening alone always deciphers under two keys, and yet Python's parsing stops "
        "where the text breaks: that is measurable by whoever sits in the process. A "
        "client sees the service only."
    ),
    run=run,
)
