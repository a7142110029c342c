"""Progress that keeps what was said, for tests that look at it."""

from db.progress import SilentProgress


class Spoken(SilentProgress):
    """Shows nothing, and keeps every line."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        """Keep a line."""
        self.lines.append(message)

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines)
