"""Runs migrations on the connection that db.schema hands over, or on --x url=... for developers."""

from alembic import context
from sqlalchemy import Connection

from db.engine import make_engine
from db.tables import Base


def run(connection: Connection) -> None:
    """Migrate on this connection; SQLite needs batch mode to change tables."""
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    run(handed_over)
else:
    url = context.get_x_argument(as_dictionary=True).get("url", "sqlite:///registry.sqlite3")
    with make_engine(url).begin() as own_connection:
        run(own_connection)
