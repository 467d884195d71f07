"""Who a message goes to and what it says, in the clear for the moment of the call.

Nothing of this leaves the task: no log line, no error, no argument carries it.
"""

from __future__ import annotations

import json

from config.notification_templates import TEMPLATES
from models.identities import find_sealed_openid
from models.notifications import SEALING_PURPOSE, Notification
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
    openid = find_openid(house, row.app_id, row.user_id)
    if openid is None:
        raise Undeliverable("user_gone")
    sealer = sealer_for(house.settings.secrets, SEALING_PURPOSE)
    data = json.loads(sealer.unseal(row.data_sealed, row.id))
    return SubscribeMessage(openid, template.template_id, data, row.page)


def find_openid(house: Resources, app_id: str, user_id: str) -> str | None:
    """Return the user's openid, None when neither SQL nor a live login knows it.

    Redis is asked only for a user whose first login is not in SQL yet; raises
    `RedisUnavailable` then, if it is away.
    """
    with house.database.read() as session:
        sealed = find_sealed_openid(session, app_id, user_id)
    if sealed is not None:
        sealer = sealer_for(house.settings.secrets, "identity")
        return sealer.unseal(sealed, user_id).decode()
    (told,) = house.stores.wechat_keys.find([(app_id, user_id)])
    return None if told is None else told.openid
