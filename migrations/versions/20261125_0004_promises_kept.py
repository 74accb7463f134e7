"""promises kept

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('promise', schema=None) as batch_op:
        batch_op.add_column(sa.Column('contradicts_told', sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column('told_seq', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('done_at', sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('promise', schema=None) as batch_op:
        batch_op.drop_column('done_at')
        batch_op.drop_column('told_seq')
        batch_op.drop_column('contradicts_told')
