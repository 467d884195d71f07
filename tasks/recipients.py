"""Who a message goes to and what it says, in the clear for the moment of the call.

Nothing of this leaves the task: no log line, no error, no argument carries it.
"""

from __future__ import annotations

import json

from config.notification_templates import TEMPLATES
from models.notifications import SEALING_PURPOSE, Notification
from models.openids import OpenIds
from models.sealing import sealer_for
from tasks.app import Resources
from wechat.client import SubscribeMessage


class Undeliverable(Exception):
    """The message cannot be sent whatever WeChat says; ``reason`` tells why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def compose(house: Resources, row: Notification) -> SubscribeMessage:
    """Return the message of ``row`` ready to be sent.

    Raises `Undeliverable`; `Unsealable` when the data key has changed; `Unavailable`
    when nobody can say who the user is at this moment.
    """
    template = TEMPLATES.get(row.template_key)
    if template is None or row.app_id not in house.gateway.app_ids:
        raise Undeliverable("not_configured")
    secrets = house.settings.secrets
    openids = OpenIds(secrets, house.database, house.stores.wechat_keys)
    openid = openids.find(row.app_id, row.user_id)
    if openid is None:
        raise Undeliverable("user_gone")
    sealer = sealer_for(secrets, SEALING_PURPOSE)
    data = json.loads(sealer.unseal(row.data_sealed, row.id))
    return SubscribeMessage(openid, template.template_id, data, row.page)
