"""The Idempotency-Key of a request, and the way its answer takes.

`web/dispatch.py` has the key of every write checked, and answers under it where the
`Spec` says ``idempotent``; the answers themselves are the business of
`web/services/idempotency.py`.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

from models.errors import FieldFault, InvalidInput, KuaidaError
from models.idempotency import Once
from web.routes import Auth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from web.routes import Call, Route

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
VARIABLE: Final = "HTTP_IDEMPOTENCY_KEY"
# Admin routes have one token and so one owner of keys; user ids have a "_".
ADMIN: Final = "admin"
_VISIBLE: Final = re.compile(r"[!-~]{1,255}\Z")
_canonical: Final = msgspec.json.Encoder(order="sorted").encode


def read_key(environ: Mapping[str, Any]) -> str | None:
    """Return the key of a write, None without one.

    Raises `InvalidInput` for one nobody may send. Two headers reach us as one text
    with a blank in it, which is no key.
    """
    key: str | None = environ.get(VARIABLE)
    if key is None or _VISIBLE.match(key):
        return key
    fault = FieldFault(HEADER, "invalid", "1 to 255 visible ASCII characters, once")
    raise InvalidInput("odd Idempotency-Key", faults=(fault,))


def read_once(
    key: str,
    route: Route,
    call: Call,
    sent: tuple[Mapping[str, str], Mapping[str, Any] | None],
    keep_s: int,
) -> Once:
    """Return the request under ``key``; ``sent`` is its path values and its body.

    The query is left out: on writes it says how to wait, not what to do. Key and body
    are remembered by their hashes.
    """
    return Once(
        user_id=ADMIN if route.spec.auth is Auth.ADMIN else call.claims.user_id,
        route=f"{route.method} {route.path}",
        key_hash=sha256(key.encode()).hexdigest(),
        # Salted by the key, of which only the hash is kept: nobody can try out bodies.
        body_hash=sha256(key.encode() + _canonical(sent)).hexdigest(),
        request_id=call.visit.request_id,
        keep_s=keep_s,
        token_id=call.claims.token_id if route.spec.may_end_itself else None,
    )


def answer_once(call: Call, once: Once, produce: Callable[[], object]) -> msgspec.Raw:
    """Return the one answer of ``once``, or raise the one refusal it was given."""
    told = call.services.answers.answer(once, produce)
    if told.replayed:
        call.visit.headers.append((REPLAYED, "true"))
    if told.kept.reason is not None:
        raise KuaidaError(reason=told.kept.reason)
    return msgspec.Raw(told.kept.data)


def repeat_last(call: Call, once: Once) -> msgspec.Raw | None:
    """Return the answer with which the caller's session ended, None if it is not kept.

    The one thing that a token may have after the end of its session, by the very
    request that ended it.
    """
    kept = call.services.answers.repeat(once)
    if kept is None:
        return None
    call.visit.headers.append((REPLAYED, "true"))
    return msgspec.Raw(kept.data)
