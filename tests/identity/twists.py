"""Every twist of a token that is tried: right tokens in wrong places, and the rest.

Sent to the app by `tests/integration/test_token_twists.py` and over HTTP by
`tests/identity/sections/token_twists.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.identity.twist import (
    INVALID,
    ME,
    MISSING,
    REFRESH,
    REVOKED,
    Sent,
    Twist,
    Wanted,
    bearer,
)
from tests.identity.twisted_claims import missing_claims, odd_claims, odd_ids, odd_times
from tests.identity.twisted_texts import foreign_keys, odd_headers, odd_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.identity.forge import Forge


def odd_requests() -> Iterator[Twist]:
    """Yield right tokens in wrong places and fields."""

    def field(name: str, form: str, wanted: Wanted = INVALID) -> Twist:
        send = lambda f: Sent((form.format(f.own.access),))  # noqa: E731
        return Twist("request", name, send, wanted)

    yield Twist("request", "no token", lambda _: Sent(), MISSING)
    yield Twist("request", "token in the query", _in_query, MISSING)
    yield Twist("request", "token in the body", _in_body, MISSING)
    yield field("an empty field", "")
    yield field("the scheme alone", "Bearer")
    yield field("no scheme", "{}")
    yield field("scheme Basic", "Basic {}")
    yield field("scheme Token", "Token {}")
    yield field("two spaces", "Bearer  {}")
    yield field("a tab", "Bearer\t{}")
    yield field("two tokens in a field", "Bearer {0} {0}")
    yield field("two tokens by a comma", "Bearer {0}, Bearer {0}")
    yield field("in quotes", 'Bearer "{}"')
    yield field("3 kB of letters", "Bearer " + "a" * 3000)
    yield Twist("request", "two fields", _two_fields)
    yield Twist("request", "two fields, one of another", _two_users)
    yield Twist("request", "refresh token on a route", lambda f: bearer(f.own.refresh))
    yield Twist("request", "access token as refresh token", _as_refresh)


def _in_query(forge: Forge) -> Sent:
    return Sent(path=f"{ME}?access_token={forge.own.access}&jwt={forge.own.access}")


def _in_body(forge: Forge) -> Sent:
    path, body = "/api/v1/auth/logout", {"access_token": forge.own.access}
    return Sent(path=path, body=json.dumps(body))


def _two_fields(forge: Forge) -> Sent:
    return Sent((f"Bearer {forge.own.access}",) * 2)


def _two_users(forge: Forge) -> Sent:
    return Sent((f"Bearer {forge.own.access}", f"Bearer {forge.other.access}"))


def _as_refresh(forge: Forge) -> Sent:
    body = json.dumps({"refresh_token": forge.own.access})
    return Sent(path=REFRESH, body=body)


def other_sessions() -> Iterator[Twist]:
    """Yield rightly signed tokens that claim somebody else's session or user."""

    def mixed(name: str, *taken: str) -> Twist:
        def send(forge: Forge) -> Sent:
            return bearer(forge.token(**{n: forge.other.claims[n] for n in taken}))

        return Twist("session", name, send, REVOKED)

    yield mixed("another user's session under the own name", "sid", "jti")
    yield mixed("another user's name over the own session", "sub")
    yield Twist(
        "session", "another app", lambda f: bearer(f.token(app="wx_other")), REVOKED
    )
    yield Twist("session", "epoch one lower", lambda f: bearer(_epoch(f, -1)), REVOKED)
    yield Twist("session", "epoch one higher", lambda f: bearer(_epoch(f, 1)), REVOKED)
    yield Twist(
        "session", "an epoch of the future", lambda f: bearer(_epoch(f, 10**9)), REVOKED
    )


def _epoch(forge: Forge, by: int) -> str:
    return forge.token(ep=forge.claims["ep"] + by)


def all_twists() -> list[Twist]:
    """Return the whole table."""
    groups: Iterable[Iterator[Twist]] = (
        missing_claims(),
        odd_claims(),
        odd_ids(),
        odd_times(),
        odd_headers(),
        foreign_keys(),
        odd_texts(),
        odd_requests(),
        other_sessions(),
    )
    return [twist for group in groups for twist in group]
