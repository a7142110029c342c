"""Connections to Label Studio projects, and which task belongs to which image."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.errors import NotFound
from db.records import ConnectionRecord, TaskLink
from db.tables import Connection, LabelStudioTask, now


class ConnectionQueries:
    """Connections of the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def use(self, *, url: str, project_id: int, media: str) -> ConnectionRecord:
        """Make this project the one that push and pull work with."""
        statement = select(Connection).where(Connection.url == url, Connection.project_id == project_id)
        row = self._session.scalar(statement)
        if row is None:
            row = Connection(url=url, project_id=project_id, media=media)
            self._session.add(row)
        row.media = media
        row.used_at = now()
        self._session.flush()
        return ConnectionRecord(row.id, row.url, row.project_id, row.media)

    def current(self) -> ConnectionRecord:
        """Return the project connected last.

        Raises:
            NotFound: none was ever connected.
        """
        row = self._session.scalar(select(Connection).order_by(Connection.used_at.desc(), Connection.id.desc()))
        if row is None:
            raise NotFound(
                "this registry is not connected to Label Studio; do: partly studio start, then partly connect URL"
            )
        return ConnectionRecord(row.id, row.url, row.project_id, row.media)

    def with_url(self, url: str) -> list[ConnectionRecord]:
        """Return the connections to this server, newest first."""
        rows = self._session.scalars(
            select(Connection).where(Connection.url == url).order_by(Connection.used_at.desc())
        )
        return [ConnectionRecord(row.id, row.url, row.project_id, row.media) for row in rows]

    def links(self, connection_id: int) -> dict[int, TaskLink]:
        """Return the tasks of a project, by image id."""
        statement = select(LabelStudioTask).where(LabelStudioTask.connection_id == connection_id)
        return {
            row.image_id: TaskLink(row.image_id, row.task_id, row.proposal_id, row.control)
            for row in self._session.scalars(statement)
        }

    def control_images(self) -> list[int]:
        """Return the images whose proposal was held back, in any project."""
        statement = select(LabelStudioTask.image_id).where(LabelStudioTask.control.is_(True)).distinct()
        return list(self._session.scalars(statement))

    def set_links(self, connection_id: int, links: Iterable[TaskLink]) -> None:
        """Note which task belongs to which image and what was sent with it."""
        for link in links:
            row = self._session.get(LabelStudioTask, (connection_id, link.image_id))
            if row is None:
                row = LabelStudioTask(connection_id=connection_id, image_id=link.image_id, task_id=link.task_id)
                self._session.add(row)
            row.task_id = link.task_id
            row.proposal_id = link.proposal_id
            row.control = link.control
        self._session.flush()
