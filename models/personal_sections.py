"""What an export tells a person: which tables, and which of their columns.

Columns are named one by one: a new one is private until somebody adds it here. Left
out on purpose: openid and unionid (WeChat's names for the person; only that we hold
them is told), whole phone numbers, hashes, and the sealed fields of messages.
"""

from __future__ import annotations

from models.devices import Device
from models.identities import Identity
from models.logins import LoginEvent
from models.notifications import Notification
from models.operations import Operation
from models.paid_calls import PaidCall
from models.personal_data import Section
from models.phones import Phone
from models.risk_marks import RiskMark
from models.security_events import SecurityEvent
from models.sessions import Session
from models.user_events import UserEvent
from models.users import User

SECTIONS = (
    Section(
        "profile",
        User,
        owner="id",
        key="id",
        shown="id app_id nickname avatar_url gender city is_guest login_count "
        "last_login_at created_at updated_at",
    ),
    Section(
        "identities",
        Identity,
        owner="user_id",
        key="app_id openid_hash",
        shown="app_id created_at",
        held_column="unionid_hash",
    ),
    Section(
        "phones",
        Phone,
        owner="user_id",
        key="user_id",
        shown="app_id country_code masked bound_at",
    ),
    Section(
        "billed_calls",
        PaidCall,
        owner="user_id",
        key="at id",
        shown="id app_id kind state at",
    ),
    Section(
        "risk_marks",
        RiskMark,
        owner="subject_id",
        key="at id",
        shown="id app_id rule score state at ends_at",
    ),
    Section(
        "sessions",
        Session,
        owner="user_id",
        key="id",
        shown="id app_id device_id ip created_at last_seen_at expires_at revoked_at "
        "ended_by",
    ),
    Section(
        "devices",
        Device,
        owner="user_id",
        key="device_id",
        shown="device_id app_id model platform system wechat_version first_seen_at "
        "last_seen_at",
    ),
    Section(
        "login_history",
        LoginEvent,
        owner="user_id",
        key="at id",
        shown="id app_id session_id device_id ip at",
    ),
    Section(
        "security_events",
        SecurityEvent,
        owner="user_id",
        key="at id",
        shown="kind session_id device_id ip at",
    ),
    Section(
        "events",
        UserEvent,
        owner="user_id",
        key="seq",
        shown="seq type at",
        json_column="data",
    ),
    Section(
        "notifications",
        Notification,
        owner="user_id",
        key="created_at id",
        shown="id app_id template_key page state send_at sent_at errcode created_at "
        "updated_at",
    ),
    Section(
        "operations",
        Operation,
        owner="user_id",
        key="created_at id",
        shown="id kind state percent created_at updated_at finished_at",
    ),
)
