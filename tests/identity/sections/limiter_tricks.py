"""What clients try to get past a limit, and a lock-out; none of it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.bench.report import table
from tests.identity.knocks import Knock, Told, limits, person, send
from tests.identity.section import Findings, Section
from tests.identity.two_webs import two_webs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.stack import Stack

ME = "/api/v1/me"
LOGIN = "/api/v1/auth/login"
BODY = b'{"city": "x"}'
# So few at once, and none comes back during the run.
BURST = 5
RULE = f"{BURST}/0.0001"
HEAD = ("trick", "tried", "answers", "passed")
# A third web process, which believes a proxy on this machine.
BEHIND = (
    "PROCESS=web3", "TRUSTED_PROXY_HOPS=1", "TRUSTED_PROXIES=127.0.0.1", "gunicorn",
    "-c", "config/gunicorn.py", "-b", "127.0.0.1:{port}", "web.wsgi:app",
)  # fmt: skip
SPELLINGS = (
    "/api/v1/me/", "//api/v1/me", "/api//v1/me", "/API/v1/me", "/api/v1/ME",
    "/api/v1/./me", "/api/v1/x/../me", "/api/v1/%6d%65", "/api/v1/me?x=1",
    "/api/v1/me;x=1", "/api/v1/me%2f", "/api/v1/me%00", "/api/v1/me#x",
)  # fmt: skip


class Trick(NamedTuple):
    """A way around, and the requests it consists of."""

    name: str
    knocks: list[tuple[str, Knock]]


def run(folder: Path) -> Findings:
    """Empty a bucket and try each trick on it; lock a phone out, and try again."""
    found = Findings()
    rows: list[list[str]] = []
    with two_webs(folder, RATE_LIMITS=limits(write_user=RULE)) as (stack, _):
        token = person(stack).data["access_token"]
        head = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
        }
        passed = [
            send(stack.ports["web"], Knock("PATCH", ME, head, BODY)).status
            for _ in range(BURST)
        ]
        found.expect(passed == [200] * BURST, f"the burst itself: {passed}")
        rows += (tried(stack, trick, found) for trick in user_tricks(head))
        rows += lock_out(stack, found)
        rows += by_network(stack, found)
    found.figures = {
        "tricks": len(rows),
        "requests": sum(int(row[1]) for row in rows),
        "passed": sum(int(row[3]) for row in rows),
    }
    found.table = table(HEAD, rows)
    return found


def user_tricks(head: dict[str, str]) -> Iterator[Trick]:
    """Yield what is tried once the user's bucket is empty."""

    def changed(**more: str) -> Knock:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return Knock("PATCH", ME, head | named, BODY)

    plain = changed()
    yield Trick("the same again", [("web", plain)] * 5)
    yield Trick("the other process", [("web2", plain)] * 5)
    addresses = [f"198.51.100.{n}" for n in range(20)]
    for field in ("X_Forwarded_For", "X_Real_IP", "Forwarded", "X_Client_IP"):
        asks = [("web", changed(**{field: a})) for a in addresses]
        yield Trick(f"another {field.replace('_', '-')} each time", asks)
    asks = [("web2", changed(X_Device_Id=f"phone-{n}")) for n in range(20)]
    yield Trick("another X-Device-Id each time", asks)
    names = [{"User_Agent": f"a/{n}", "X_Request_Id": f"r-{n}"} for n in range(20)]
    agents = [("web", changed(**name)) for name in names]
    yield Trick("another agent and request id each time", agents)
    keys = [("web", changed(Idempotency_Key=f"key-{n}")) for n in range(20)]
    yield Trick("another Idempotency-Key each time", keys)
    spelled = [("web", plain._replace(path=path)) for path in SPELLINGS]
    yield Trick("the path in other case, slashes, escapes", spelled)
    methods = [("web", plain._replace(method=m)) for m in ("POST", "PUT", "patch")]
    yield Trick("another method", methods)


def tried(stack: Stack, trick: Trick, found: Findings) -> list[str]:
    """Return the line of one trick."""
    answers = [send(stack.ports[name], knock) for name, knock in trick.knocks]
    return line(trick.name, answers, found)


def line(name: str, answers: list[Told], found: Findings) -> list[str]:
    """Return a line of the table, and expect that nothing passed."""
    passed = sum(told.status == 200 for told in answers)
    found.expect(passed == 0, f"{name}: {passed} passed")
    kinds = sorted({f"{told.status} {told.reason}" for told in answers})
    return [name, str(len(answers)), ", ".join(kinds), str(passed)]


def lock_out(stack: Stack, found: Findings) -> Iterator[list[str]]:
    """Yield what a phone tries after five refused codes, over both processes."""

    def login(code: str, device: str = "thief", **more: str) -> Knock:
        head = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in more.items()
        }
        body = f'{{"code": "{code}", "device": {{"id": "{device}"}}}}'
        return Knock("POST", LOGIN, head, body.encode())

    ports = [stack.ports["web"], stack.ports["web2"]]
    tries = [send(ports[n % 2], login(f"bad{n}")) for n in range(5)]
    reasons = {told.reason for told in tries}
    found.expect(reasons == {"login_code_invalid"}, f"five bad codes: {reasons}")
    good = stack.wechat.code(stack.wechat.user()["openid"])
    locked = [send(port, login(good)) for port in ports]
    waits = [told.retry_after_ms for told in locked]
    fair = all(298_000 < wait <= 300_000 for wait in waits)
    found.expect(fair, f"the wait of a lock-out: {waits}")
    yield line("locked out: a good code, either process", locked, found)
    asks = [
        login(good, X_Device_Id="another"),
        login(good, X_Forwarded_For="198.51.100.7"),
        login(good, User_Agent="another"),
    ]
    others = [send(ports[0], ask) for ask in asks]
    yield line("locked out: other headers, the same phone", others, found)
    free = send(ports[1], login(good, device="neighbour"))
    found.expect(free.status == 200, f"a neighbour behind the address: {free}")


def by_network(stack: Stack, found: Findings) -> Iterator[list[str]]:
    """Yield what an IPv6 subscriber tries, who has 2**64 addresses."""
    rules = limits(write_ip=RULE)
    stack.listen("behind", ["env", f"RATE_LIMITS={rules}", *BEHIND])
    token = person(stack).data["access_token"]

    def ask(address: str) -> Told:
        head = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "X-Forwarded-For": address,
        }
        return send(stack.ports["behind"], Knock("PATCH", ME, head, BODY))

    burst = [ask(f"2001:db8:1:2::{n:x}").status for n in range(BURST)]
    found.expect(burst == [200] * BURST, f"the burst of a network: {burst}")
    inside = [ask(f"2001:db8:1:2:{n:x}:{n:x}::1") for n in range(1, 40)]
    yield line("another address of the IPv6 /64 each time", inside, found)
    chains = [ask(f"203.0.113.{n}, 2001:db8:1:2::1") for n in range(20)]
    yield line("another forged place in front of the proxy's", chains, found)
    spellings = ("2001:0DB8:0001:0002:0000:0000:0000:0001", "[2001:db8:1:2::9]:443")
    spelled = [ask(address) for address in spellings]
    yield line("the address spelled otherwise", spelled, found)
    outside = ask("2001:db8:1:3::1")
    found.expect(outside.status == 200, f"the neighbouring /64: {outside}")


SECTION = Section(
    name="limiter-tricks",
    title="Ways around a limit",
    about=(
        "A bucket is emptied first; whatever is then changed in a request, nothing may "
        "pass. Spellings of a path that is none of ours are 404 and reach no handler."
    ),
    run=run,
)
