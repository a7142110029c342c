"""Connections to Label Studio projects, and which task belongs to which image."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db.errors import NotConnected
from db.queries.bulk import chunks, insert_rows
from db.records import ConnectionRecord, TaskLink
from db.tables import Connection, LabelStudioTask, RegistryIdentity, now


class ConnectionQueries:
    """Connections of the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def use(self, *, url: str, project_id: int, media: str) -> ConnectionRecord:
        """Make this project the target of push and pull."""
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
            raise NotConnected(
                "this registry is not connected to Label Studio; run: partly studio start, then partly connect URL"
            )
        return ConnectionRecord(row.id, row.url, row.project_id, row.media)

    def with_url(self, url: str) -> list[ConnectionRecord]:
        """Return the connections to this server, newest first."""
        rows = self._session.scalars(
            select(Connection).where(Connection.url == url).order_by(Connection.used_at.desc())
        )
        return [ConnectionRecord(row.id, row.url, row.project_id, row.media) for row in rows]

    def identity(self) -> str | None:
        """Return what tells this registry from every other; None before it was needed."""
        return self._session.scalar(select(RegistryIdentity.identity))

    def ensure_identity(self) -> str:
        """Return what tells this registry from every other; made up when it is first needed."""
        known = self.identity()
        if known is None:
            known = str(uuid4())
            self._session.add(RegistryIdentity(one=1, identity=known))
            self._session.flush()
        return known

    def links(self, connection_id: int) -> dict[int, TaskLink]:
        """Return the tasks of a project that people are shown, by image id: of each image the one of the last round."""
        statement = select(LabelStudioTask).where(LabelStudioTask.connection_id == connection_id)
        ordered = statement.order_by(LabelStudioTask.round, LabelStudioTask.task_id)
        return {row.image_id: _link(row) for row in self._session.scalars(ordered)}

    def tasks(self, connection_id: int) -> dict[int, TaskLink]:
        """Return all tasks of a project, those of earlier rounds too, by task id."""
        statement = select(LabelStudioTask).where(LabelStudioTask.connection_id == connection_id)
        return {row.task_id: _link(row) for row in self._session.scalars(statement)}

    def control_images(self) -> list[int]:
        """Return the images whose proposal was held back, in any project."""
        statement = select(LabelStudioTask.image_id).where(LabelStudioTask.control.is_(True)).distinct()
        return list(self._session.scalars(statement))

    def annotators_wanted(self) -> dict[int, int]:
        """Return the number of annotators per image, where it is more than one, in any project."""
        statement = select(LabelStudioTask.image_id, func.max(LabelStudioTask.readers))
        wanted = statement.where(LabelStudioTask.readers > 1).group_by(LabelStudioTask.image_id)
        return {row[0]: row[1] for row in self._session.execute(wanted)}

    def set_links(self, connection_id: int, links: Sequence[TaskLink]) -> None:
        """Store which task belongs to which image and what was sent with it."""
        known: dict[int, LabelStudioTask] = {}
        of_project = select(LabelStudioTask).where(LabelStudioTask.connection_id == connection_id)
        for chunk in chunks([link.task_id for link in links]):
            rows = self._session.scalars(of_project.where(LabelStudioTask.task_id.in_(chunk)))
            known.update((row.task_id, row) for row in rows)
        new: dict[int, dict[str, Any]] = {}
        for link in links:
            values = {
                "image_id": link.image_id,
                "proposal_id": link.proposal_id,
                "control": link.control,
                "readers": link.annotators,
                "round": link.round,
            }
            row = known.get(link.task_id)
            if row is None:
                new[link.task_id] = {"connection_id": connection_id, "task_id": link.task_id, **values}
            else:
                for name, value in values.items():
                    setattr(row, name, value)
        self._session.flush()
        insert_rows(self._session, LabelStudioTask, list(new.values()))

    def annotation_counts(self, connection_id: int) -> dict[int, int | None]:
        """Return how many annotations and skips every task had at the last pull, by task; None before the first."""
        statement = select(LabelStudioTask.task_id, LabelStudioTask.annotations)
        rows = self._session.execute(statement.where(LabelStudioTask.connection_id == connection_id))
        return {row[0]: row[1] for row in rows}

    def set_annotation_counts(self, connection_id: int, counts: Mapping[int, int]) -> None:
        """Store how many annotations and skips tasks have."""
        by_count: dict[int, list[int]] = defaultdict(list)
        for task_id, count in counts.items():
            by_count[count].append(task_id)
        for count, task_ids in by_count.items():
            for chunk in chunks(task_ids):
                self._session.execute(
                    update(LabelStudioTask)
                    .where(LabelStudioTask.connection_id == connection_id, LabelStudioTask.task_id.in_(chunk))
                    .values(annotations=count)
                )


def _link(row: LabelStudioTask) -> TaskLink:
    return TaskLink(row.image_id, row.task_id, row.proposal_id, row.control, row.readers, row.round, row.annotations)
