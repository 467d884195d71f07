"""The whole tree of settings, as the rest of the house sees it.

Filled by `config/settings.py`; judged for production by `config/production.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from config.account_settings import AccountSettings
from config.event_settings import EventSettings
from config.jwt_keys import KeyFiles
from config.limit_settings import LimitSettings
from config.notification_settings import NotificationSettings
from config.operation_settings import OperationSettings
from config.private_settings import PrivateSettings
from config.process_settings import (
    FlowerSettings,
    HttpSettings,
    LogSettings,
    RunnerSettings,
)
from config.risk_settings import RiskSettings
from config.secrets import SecretSettings
from config.store_settings import DatabaseSettings, RedisSettings
from config.token_settings import TokenSettings
from config.transport_settings import TransportSettings
from config.wechat_settings import WeChatSettings
from config.work_settings import CelerySettings, JournalSettings

Environment = Literal["dev", "test", "production"]


class Settings(BaseModel):
    """Everything a process was told; frozen, passed to factories."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    env: Environment
    var_dir: Path
    jwt_files: KeyFiles = KeyFiles()
    database: DatabaseSettings
    redis: RedisSettings
    wechat: WeChatSettings
    tokens: TokenSettings
    private: PrivateSettings
    limits: LimitSettings
    transport: TransportSettings
    risk: RiskSettings
    http: HttpSettings
    events: EventSettings
    accounts: AccountSettings
    journal: JournalSettings
    operations: OperationSettings
    notifications: NotificationSettings
    celery: CelerySettings
    logs: LogSettings
    secrets: SecretSettings
    flower: FlowerSettings
    runner: RunnerSettings

    @property
    def production(self) -> bool:
        """Whether this installation serves real users."""
        return self.env == "production"

    @property
    def broker_prefix(self) -> str:
        """What stands before a queue's name in the broker."""
        return f"{self.redis.prefix}:{self.env}:"

    @property
    def run_dir(self) -> Path:
        """Folder of process ids, heartbeats and the ready mark."""
        return self.var_dir / "run"
