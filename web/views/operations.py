"""Long work of the caller: looked at, waited for, cancelled."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from web.routes import Call, Limit, Routes, Spec
from web.services.operations import OperationAnswer

ROUTES = Routes("operations")

WaitMs = Annotated[int, Meta(ge=0, le=5000)]


class WaitQuery(msgspec.Struct, forbid_unknown_fields=True):
    """How long to wait for the end, in milliseconds; never beyond X-Timeout-Ms."""

    wait_ms: WaitMs = 0


class WaitBody(msgspec.Struct, forbid_unknown_fields=True):
    """The same in a body, as writes take it."""

    wait_ms: WaitMs = 0


@ROUTES.get(
    "/operations/<operation_id>",
    Spec(
        summary="Look at long work",
        description=(
            "With `wait_ms` the answer comes as soon as the work has ended. Each "
            "change is told as `operation.updated` on the events channel too."
        ),
        query=WaitQuery,
        answer=OperationAnswer,
        reasons=("not_found", "unavailable"),
    ),
)
def read_operation(call: Call, query: WaitQuery, operation_id: str) -> OperationAnswer:
    """Return the caller's operation, waiting for its end if asked to."""
    deadline = call.visit.deadline
    with call.waiting():
        return call.services.operations.get(
            call.claims, operation_id, query.wait_ms, deadline
        )


@ROUTES.post(
    "/operations/<operation_id>/cancel",
    Spec(
        summary="Cancel long work",
        description=(
            "Reaches everything the work has started. What is over stays. It is final "
            "at once: `wait_ms` is taken as on other routes, and nothing is left to "
            "wait for."
        ),
        query=WaitQuery,
        body=WaitBody,
        may_omit_body=True,
        answer=OperationAnswer,
        limit=Limit.WRITE,
        idempotent=True,
        reasons=("not_found", "state_forbids", "unavailable"),
    ),
)
def cancel_operation(
    call: Call, _body: WaitBody, _query: WaitQuery, operation_id: str
) -> OperationAnswer:
    """Cancel the caller's operation."""
    return call.services.operations.cancel(call.claims, operation_id, call.once)
