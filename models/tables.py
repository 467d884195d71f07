"""All tables in one metadata, for migrations and for the tests that compare them."""

from __future__ import annotations

from models.account_links import AccountLink, UserAlias
from models.audit import AuditEntry
from models.base import Base
from models.catalog import Product, Stock
from models.devices import Device
from models.idempotency import IdempotencyKey
from models.identities import Identity
from models.inbox import Inbox
from models.logins import LoginEvent
from models.notifications import Notification, NotificationAttempt
from models.operation_files import OperationFile
from models.operations import Operation
from models.outbox import Outbox
from models.paid_budgets import PaidBudget
from models.paid_calls import PaidCall
from models.phones import Phone
from models.risk_marks import RiskMark
from models.schedule import ScheduleSlot
from models.security_events import SecurityEvent
from models.sessions import Session
from models.user_events import UserEvent
from models.users import User

TABLES = (
    AccountLink,
    AuditEntry,
    Device,
    IdempotencyKey,
    Identity,
    Inbox,
    LoginEvent,
    Notification,
    NotificationAttempt,
    Operation,
    OperationFile,
    Outbox,
    PaidBudget,
    PaidCall,
    Phone,
    Product,
    RiskMark,
    ScheduleSlot,
    SecurityEvent,
    Session,
    Stock,
    User,
    UserAlias,
    UserEvent,
)
METADATA = Base.metadata
