"""Durable work: operations, answers under a key, notifications, audit, more outbox.

Revision 0002, after 0001; made 2026-11-26 17:29:05.186907.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    _create_audit_log()
    _create_idempotency_keys()
    _create_notification_attempts()
    _create_notifications()
    _create_operation_files()
    _create_operations()
    _grow_login_events()
    _grow_outbox()
    _grow_schedule_slots()


def downgrade() -> None:
    """Go back; indexes go with their tables."""
    with op.batch_alter_table("schedule_slots", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_schedule_slots_state_job"))
        batch_op.drop_index(batch_op.f("ix_schedule_slots_outbox_id"))
        batch_op.drop_column("finished_at")
        batch_op.drop_column("outbox_id")
        batch_op.drop_column("state")

    _shrink_outbox()
    _shrink_login_events()
    op.drop_table("operations")
    op.drop_table("operation_files")
    op.drop_table("notifications")
    op.drop_table("notification_attempts")
    op.drop_table("idempotency_keys")
    op.drop_table("audit_log")


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=40), nullable=False),
        sa.Column("subject_id", sa.String(length=40), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_log_at"), ["at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_audit_log_request_id"), ["request_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_audit_log_subject_id"), ["subject_id"], unique=False
        )


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("route", sa.String(length=80), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column(
            "answer",
            sa.Text()
            .with_variant(mysql.MEDIUMTEXT(), "mariadb")
            .with_variant(mysql.MEDIUMTEXT(), "mysql"),
            nullable=True,
        ),
        sa.Column("subject_id", sa.String(length=40), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "user_id", "route", "key_hash", name=op.f("pk_idempotency_keys")
        ),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_idempotency_keys_expires_at"), ["expires_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_idempotency_keys_request_id"), ["request_id"], unique=False
        )


def _create_notification_attempts() -> None:
    op.create_table(
        "notification_attempts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("notification_id", sa.String(length=40), nullable=False),
        sa.Column("outbox_id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("errcode", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification_attempts")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("notification_attempts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_notification_attempts_notification_id"),
            ["notification_id"],
            unique=False,
        )


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("template_key", sa.String(length=64), nullable=False),
        sa.Column("data_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("page", sa.String(length=1024), nullable=True),
        sa.Column("dedupe_key", sa.String(length=128), nullable=True),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("outbox_id", sa.String(length=40), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("send_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("wechat_msgid", sa.String(length=64), nullable=True),
        sa.Column("errcode", sa.Integer(), nullable=True),
        sa.Column("busy_answers", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint(
            "app_id", "dedupe_key", name=op.f("uq_notifications_app_id_dedupe_key")
        ),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("notifications", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_notifications_request_id"), ["request_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_notifications_state_updated_at"),
            ["state", "updated_at"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_notifications_user_id_created_at"),
            ["user_id", "created_at"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_notifications_wechat_msgid"), ["wechat_msgid"], unique=False
        )


def _create_operation_files() -> None:
    op.create_table(
        "operation_files",
        sa.Column("operation_id", sa.String(length=40), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "operation_id", "part", name=op.f("pk_operation_files")
        ),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("operation_files", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_operation_files_expires_at"), ["expires_at"], unique=False
        )


def _create_operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=True),
        sa.Column("app_id", sa.String(length=64), nullable=True),
        sa.Column("parent_id", sa.String(length=40), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("active_key", sa.String(length=160), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column(
            "result",
            sa.Text()
            .with_variant(mysql.MEDIUMTEXT(), "mariadb")
            .with_variant(mysql.MEDIUMTEXT(), "mysql"),
            nullable=True,
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
        sa.UniqueConstraint("active_key", name=op.f("uq_operations_active_key")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("operations", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_operations_parent_id"), ["parent_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_operations_request_id"), ["request_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_operations_state_updated_at"),
            ["state", "updated_at"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_operations_user_id_created_at"),
            ["user_id", "created_at"],
            unique=False,
        )


def _grow_login_events() -> None:
    with op.batch_alter_table("login_events", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("request_id", sa.String(length=64), nullable=True)
        )
        batch_op.create_index(
            batch_op.f("ix_login_events_request_id"), ["request_id"], unique=False
        )


def _shrink_login_events() -> None:
    with op.batch_alter_table("login_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_login_events_request_id"))
        batch_op.drop_column("request_id")


def _grow_outbox() -> None:
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "lane",
                sa.String(length=16),
                nullable=False,
                server_default="maintenance",
            )
        )
        batch_op.add_column(sa.Column("app_id", sa.String(length=64), nullable=True))
        batch_op.add_column(
            sa.Column("operation_id", sa.String(length=40), nullable=True)
        )
        batch_op.add_column(sa.Column("parent_id", sa.String(length=40), nullable=True))
        batch_op.add_column(
            sa.Column("sends", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.add_column(
            sa.Column("deaths", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.add_column(
            sa.Column("fence", sa.BigInteger(), nullable=False, server_default="0")
        )
        batch_op.add_column(sa.Column("holder_fence", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("expires_at", sa.BigInteger(), nullable=True))
        batch_op.drop_index(batch_op.f("ix_outbox_state_visible_at"))
        batch_op.create_index(
            batch_op.f("ix_outbox_lane_state_visible_at"),
            ["lane", "state", "visible_at"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_outbox_operation_id"), ["operation_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_outbox_parent_id"), ["parent_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_outbox_request_id"), ["request_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_outbox_state_updated_at"),
            ["state", "updated_at"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_outbox_subject_id"), ["subject_id"], unique=False
        )
    op.execute("UPDATE outbox SET lane = 'events' WHERE kind = 'event'")


def _shrink_outbox() -> None:
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_outbox_subject_id"))
        batch_op.drop_index(batch_op.f("ix_outbox_state_updated_at"))
        batch_op.drop_index(batch_op.f("ix_outbox_request_id"))
        batch_op.drop_index(batch_op.f("ix_outbox_parent_id"))
        batch_op.drop_index(batch_op.f("ix_outbox_operation_id"))
        batch_op.drop_index(batch_op.f("ix_outbox_lane_state_visible_at"))
        batch_op.create_index(
            batch_op.f("ix_outbox_state_visible_at"),
            ["state", "visible_at"],
            unique=False,
        )
        batch_op.drop_column("expires_at")
        batch_op.drop_column("holder_fence")
        batch_op.drop_column("fence")
        batch_op.drop_column("deaths")
        batch_op.drop_column("sends")
        batch_op.drop_column("parent_id")
        batch_op.drop_column("operation_id")
        batch_op.drop_column("app_id")
        batch_op.drop_column("lane")


def _grow_schedule_slots() -> None:
    with op.batch_alter_table("schedule_slots", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "state", sa.String(length=12), nullable=False, server_default="done"
            )
        )
        batch_op.add_column(sa.Column("outbox_id", sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column("finished_at", sa.BigInteger(), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_schedule_slots_outbox_id"), ["outbox_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_schedule_slots_state_job"), ["state", "job"], unique=False
        )
