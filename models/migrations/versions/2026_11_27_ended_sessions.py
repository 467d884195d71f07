"""An index of ended sessions: Redis is told of those that it may have lost.

Revision 0004, after 0003; made 2026-11-27 01:10:00.000000.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_sessions_revoked_at_id"), ["revoked_at", "id"], unique=False
        )


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sessions_revoked_at_id"))
