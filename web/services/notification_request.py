"""What a sender asks of a subscribe message, and the rules that need no store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from config.clock import DAY_MS, MS_PER_S
from config.notification_templates import TEMPLATES
from models.errors import FieldFault, InvalidInput
from models.template_data import faults_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from config.notification_settings import NotificationSettings
    from config.notification_templates import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotification:
    """One message; ``send_at`` None is now, ``page`` None is the template's own."""

    app_id: str
    user_id: str
    template_key: str
    data: Mapping[str, Any]
    page: str | None = None
    dedupe_key: str | None = None
    send_at: int | None = None
    channel_policy: str = "subscribe"

    def canonical(self) -> str:
        """Return the content as a text that only an equal message has too."""
        content = (
            self.user_id,
            self.template_key,
            dict(self.data),
            self.page,
            self.send_at,
            self.channel_policy,
        )
        return json.dumps(content, sort_keys=True, ensure_ascii=False)


def check_content(wanted: NewNotification, app_ids: Collection[str]) -> Template:
    """Return the template of a message WeChat can take; `InvalidInput` names faults."""
    faults = []
    if wanted.app_id not in app_ids:
        words = "this app is not served here"
        faults.append(FieldFault("app_id", "unknown_app", words))
    template = TEMPLATES.get(wanted.template_key)
    if template is None:
        words = "there is no such template"
        faults.append(FieldFault("template_key", "unknown_template", words))
    else:
        faults += faults_of(template, wanted.data)
    if template is None or faults:
        unknown = any(fault.reason == "unknown_field" for fault in faults)
        reason = "unknown_field" if unknown else "validation_failed"
        raise InvalidInput("not a legal message", reason=reason, faults=tuple(faults))
    return template


def check_send_at(send_at: int | None, now: int, rules: NotificationSettings) -> int:
    """Return when to send, as epoch ms; `InvalidInput` for a time out of bounds."""
    if send_at is None:
        return now
    if send_at < now - rules.past_s * MS_PER_S:
        words = f"more than {rules.past_s} s ago"
    elif send_at > now + rules.horizon_days * DAY_MS:
        words = f"more than {rules.horizon_days} days ahead"
    else:
        return send_at
    fault = FieldFault("send_at", "out_of_range", words)
    raise InvalidInput("send_at is out of bounds", faults=(fault,))
