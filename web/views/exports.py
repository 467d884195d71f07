"""The export of everything held about the caller, and its file."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from web.routes import Call, File, Limit, Routes, Spec
from web.services.operations import OperationAnswer
from web.views.operations import WaitQuery

ROUTES = Routes("exports")
JSON_FILE: Final = "application/json"


class ExportDocument(msgspec.Struct):
    """Everything held about a person, table by table; times are epoch ms.

    ``pending_login``: the login it was asked with was not stored in time and is
    missing; ask again later.
    """

    format: str
    made_at: int
    pending_login: bool
    profile: list[dict[str, Any]]
    identities: list[dict[str, Any]]
    phones: list[dict[str, Any]]
    billed_calls: list[dict[str, Any]]
    risk_marks: list[dict[str, Any]]
    sessions: list[dict[str, Any]]
    devices: list[dict[str, Any]]
    login_history: list[dict[str, Any]]
    security_events: list[dict[str, Any]]
    events: list[dict[str, Any]]
    notifications: list[dict[str, Any]]
    operations: list[dict[str, Any]]


@ROUTES.get(
    "/operations/<operation_id>/file",
    Spec(
        summary="Fetch the file of finished work",
        description=(
            "The bytes themselves, without the envelope; `result.file` of the "
            "operation says how many they are and their SHA-256. 404 once the file's "
            "time is over or a newer one took its place."
        ),
        answer=ExportDocument,
        file=JSON_FILE,
        reasons=("not_found", "unavailable"),
    ),
)
def fetch_file(call: Call, operation_id: str) -> File:
    """Send the file of the caller's operation."""
    facts, pieces = call.services.files.open(call.claims, operation_id)
    return File(facts.name, facts.content_type, facts.bytes, pieces)


@ROUTES.get(
    "/me/export",
    Spec(
        summary="Export everything held about me",
        description=(
            "Starts the work, or joins the export that runs. Its result names a file "
            "and where to fetch it; a newer export takes the place of an older one."
        ),
        query=WaitQuery,
        answer=OperationAnswer,
        limit=Limit.WRITE,
        reasons=("overloaded", "unavailable"),
    ),
)
def export_me(call: Call, query: WaitQuery) -> OperationAnswer:
    """Start the caller's export, waiting for its end if asked to."""
    started = call.services.exports.start(call.claims)
    deadline = call.visit.deadline
    with call.waiting():
        return call.services.operations.get(
            call.claims, started.id, query.wait_ms, deadline
        )
