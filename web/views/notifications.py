"""One subscribe message from the internal listener: send, look, cancel, send anew."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from models.notifications import NotificationView
from web.fields import AppName, DedupeKey, PagePath, UserId
from web.routes import Auth, Call, Limit, Routes, Spec
from web.services.notification_request import NewNotification

ROUTES = Routes("notifications", prefix="/admin/v1")

Fields = Annotated[
    dict[str, Any],
    Meta(
        description="The template's fields, all of them and no other, each a text.",
        extra_json_schema={"additionalProperties": {"type": "string"}},
    ),
]
Millis = Annotated[int, Meta(ge=0, le=2**53)]


class NotificationBody(msgspec.Struct, forbid_unknown_fields=True):
    """A message to one user.

    ``dedupe_key`` makes a repeat harmless: the same content returns the first message,
    another content is refused. ``channel_policy`` names the channels that may be used;
    ``subscribe``, a WeChat subscribe message, is the only one there is.
    """

    app_id: AppName
    user_id: UserId
    template_key: Annotated[str, Meta(min_length=1, max_length=64)]
    data: Fields
    page: PagePath | None = None
    dedupe_key: DedupeKey | None = None
    send_at: Millis | None = None
    channel_policy: Literal["subscribe"] = "subscribe"


@ROUTES.post(
    "/notifications",
    Spec(
        summary="Send a subscribe message to a user",
        description="Accepted means: it is sent at most once, and its end is known "
        "here. `send_at` plans it, to the second.",
        body=NotificationBody,
        answer=NotificationView,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        idempotent=True,
        reasons=("not_found", "conflict", "overloaded"),
    ),
)
def send_notification(call: Call, body: NotificationBody) -> NotificationView:
    """Accept a message."""
    wanted = NewNotification(**msgspec.structs.asdict(body))
    return call.services.notifications.accept(wanted, call.once)


@ROUTES.get(
    "/notifications/<notification_id>",
    Spec(
        summary="Look at a message and its attempts",
        answer=NotificationView,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        reasons=("not_found",),
    ),
)
def read_notification(call: Call, notification_id: str) -> NotificationView:
    """Return one message."""
    return call.services.notifications.get(notification_id)


@ROUTES.post(
    "/notifications/<notification_id>/cancel",
    Spec(
        summary="Cancel a message that is not being sent yet",
        description="Either the cancel or the sender wins; after a cancel nothing "
        "reaches WeChat.",
        answer=NotificationView,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        idempotent=True,
        reasons=("not_found", "state_forbids"),
    ),
)
def cancel_notification(call: Call, notification_id: str) -> NotificationView:
    """Cancel one message."""
    return call.services.notifications.cancel(notification_id, call.once)


@ROUTES.post(
    "/notifications/<notification_id>/retry",
    Spec(
        summary="Send a failed or unknown message anew",
        description="An unknown message may have arrived: then it arrives twice.",
        answer=NotificationView,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        idempotent=True,
        reasons=("not_found", "state_forbids"),
    ),
)
def retry_notification(call: Call, notification_id: str) -> NotificationView:
    """Send one message again, because a person says so."""
    return call.services.notifications.retry(notification_id, call.once)
