"""Identity: standings, security events, phones, paid calls, risk marks, links.

Revision 0003, after 0002; made 2026-11-26 20:43:11.234475.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    _create_account_links()
    _create_paid_budgets()
    _create_paid_calls()
    _create_phones()
    _create_risk_marks()
    _create_security_events()
    _create_user_aliases()
    _grow_devices()
    _grow_sessions()
    _grow_users()


def downgrade() -> None:
    """Go back; indexes go with their tables."""
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_users_action_until"))
        batch_op.drop_index(batch_op.f("ix_users_is_guest_updated_at"))
        batch_op.drop_index(batch_op.f("ix_users_standing_no_id"))
        batch_op.drop_column("standing_no")
        batch_op.drop_column("action_until")
        batch_op.drop_column("action")
        batch_op.drop_column("banned_at")
        batch_op.drop_column("epoch")
        batch_op.drop_column("phone_masked")

    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_column("trail")
        batch_op.drop_column("refresh_hash")
        batch_op.drop_column("epoch")
        batch_op.drop_column("ended_by")

    with op.batch_alter_table("devices", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_devices_device_id"))

    op.drop_table("user_aliases")

    op.drop_table("security_events")

    op.drop_table("risk_marks")
    op.drop_table("phones")

    op.drop_table("paid_calls")

    op.drop_table("paid_budgets")

    op.drop_table("account_links")


def _create_account_links() -> None:
    op.create_table(
        "account_links",
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("other_user_id", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("plan", sa.String(length=2000), nullable=True),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "user_id", "other_user_id", "reason", name=op.f("pk_account_links")
        ),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("account_links", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_account_links_other_user_id"),
            ["other_user_id"],
            unique=False,
        )


def _create_paid_budgets() -> None:
    op.create_table(
        "paid_budgets",
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("spent_fen", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("app_id", "month", name=op.f("pk_paid_budgets")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )


def _create_paid_calls() -> None:
    op.create_table(
        "paid_calls",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("cost_fen", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("flight", sa.String(length=64), nullable=True),
        sa.Column("refusal", sa.String(length=40), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_paid_calls")),
        sa.UniqueConstraint("flight", name=op.f("uq_paid_calls_flight")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("paid_calls", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_paid_calls_app_id_at"), ["app_id", "at"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_paid_calls_at"), ["at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_paid_calls_state_at"), ["state", "at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_paid_calls_user_id_at"), ["user_id", "at"], unique=False
        )


def _create_phones() -> None:
    op.create_table(
        "phones",
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("phone_hash", sa.String(length=64), nullable=False),
        sa.Column("phone_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("country_code", sa.String(length=8), nullable=False),
        sa.Column("masked", sa.String(length=32), nullable=False),
        sa.Column("bound_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_phones")),
        sa.UniqueConstraint(
            "app_id", "phone_hash", name=op.f("uq_phones_app_id_phone_hash")
        ),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )


def _create_risk_marks() -> None:
    op.create_table(
        "risk_marks",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("subject_kind", sa.String(length=8), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=40), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column(
            "evidence",
            sa.Text()
            .with_variant(mysql.MEDIUMTEXT(), "mariadb")
            .with_variant(mysql.MEDIUMTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("cleared_by", sa.String(length=64), nullable=True),
        sa.Column("wechat_rank", sa.Integer(), nullable=True),
        sa.Column("rank_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_risk_marks")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("risk_marks", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_risk_marks_ends_at"), ["ends_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_risk_marks_subject_id_subject_kind_at"),
            ["subject_id", "subject_kind", "at"],
            unique=False,
        )


def _create_security_events() -> None:
    op.create_table(
        "security_events",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("session_id", sa.String(length=40), nullable=True),
        sa.Column("device_id", sa.String(length=64), nullable=True),
        sa.Column("ip", sa.String(length=45), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_events")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("security_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_security_events_at"), ["at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_security_events_request_id"), ["request_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_security_events_user_id_at"), ["user_id", "at"], unique=False
        )


def _create_user_aliases() -> None:
    op.create_table(
        "user_aliases",
        sa.Column("alias_id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("alias_id", name=op.f("pk_user_aliases")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("user_aliases", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_user_aliases_user_id"), ["user_id"], unique=False
        )


def _grow_devices() -> None:
    with op.batch_alter_table("devices", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_devices_device_id"), ["device_id"], unique=False
        )


def _grow_sessions() -> None:
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ended_by", sa.String(length=12), nullable=True))
        batch_op.add_column(
            sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False)
        )
        batch_op.add_column(
            sa.Column("refresh_hash", sa.String(length=64), nullable=True)
        )
        batch_op.add_column(sa.Column("trail", sa.String(length=300), nullable=True))


def _grow_users() -> None:
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("phone_masked", sa.String(length=32), nullable=True)
        )
        batch_op.add_column(
            sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False)
        )
        batch_op.add_column(sa.Column("banned_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(
            sa.Column(
                "action", sa.String(length=8), server_default="allow", nullable=False
            )
        )
        batch_op.add_column(sa.Column("action_until", sa.BigInteger(), nullable=True))
        batch_op.add_column(
            sa.Column(
                "standing_no", sa.BigInteger(), server_default="0", nullable=False
            )
        )
        batch_op.create_index(
            batch_op.f("ix_users_standing_no_id"), ["standing_no", "id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_users_is_guest_updated_at"),
            ["is_guest", "updated_at"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_users_action_until"), ["action_until"], unique=False
        )
