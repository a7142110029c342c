"""The Label Studio project that the registry syncs with, and its tasks."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """A Label Studio project that this registry syncs with. The token is never stored."""

    id: int
    url: str
    project_id: int
    media: str


@dataclass(frozen=True, slots=True)
class TaskLink:
    """An image's task in a Label Studio project, and the proposal last sent with it."""

    image_id: int
    task_id: int
    proposal_id: int | None
    control: bool = False
    """The proposal was withheld, so that the image is annotated independently."""
    annotators: int = 1
    """How many people are to look at it."""
    round: int = 1
    """Counts the image's tasks in the project: a new proposal for an image whose task is finished gets a new task."""
    annotations: int | None = field(default=None, compare=False)
    """Annotations and skips that the task had at the last pull; None before the first."""
