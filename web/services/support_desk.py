"""Opens what `web/services/support.py` promises, over the stores of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from web.services.account_finder import AccountFinder
from web.services.accounts import AccountService
from web.services.key_reset import KeyResetService
from web.services.outbox import OutboxService
from web.services.queues import QueueService
from web.services.risk import RiskDesk
from web.services.schedule import ScheduleService
from web.services.support import Support
from web.services.timeline import TimelineService

if TYPE_CHECKING:
    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores
    from wechat.gateway import Gateway


def open_support(
    settings: Settings, stores: Stores, database: Database, gateway: Gateway
) -> Support:
    """Return the support view of this process; nothing is asked of a store yet."""
    finder = AccountFinder(settings, stores, database)
    return Support(
        outbox=OutboxService(database, settings.journal),
        queues=QueueService(database, stores, settings.broker_prefix),
        schedule=ScheduleService(database),
        timeline=TimelineService(database, stores.refusals),
        risk=RiskDesk(settings, stores, database, finder),
        keys=KeyResetService(stores, database, gateway, finder),
        accounts=AccountService(settings, stores, database, finder),
    )
