"""Which session_key WeChat holds, when two logins of a user came close together.

`models/stores/lua/open_session.lua` marks such a login; its enrichment starts this.
"""

from __future__ import annotations

from config.clock import MS_PER_S, Deadline
from config.logging import get_logger
from tasks.app import app
from tasks.base import OutboxTask
from tasks.work import Work
from wechat.key_check import KeyCheck

log = get_logger(__name__)


@app.task(base=OutboxTask)
def settle_session_key(work: Work) -> None:
    """Make the key that WeChat holds the user's current one; repeating it is safe."""
    house = work.resources
    if work.app_id is None or work.app_id not in house.gateway.app_ids:
        return
    check = KeyCheck(house.stores.wechat_keys, house.gateway)
    own = Deadline.after_ms(house.settings.private.check_s * MS_PER_S)
    deadline = own.earlier(work.deadline)
    verdict = check.settle(work.app_id, work.subject_id, deadline)
    log.info("session key checked", outcome=verdict)
