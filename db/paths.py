"""How the registry names files: relative to the project folder where they lie below it, absolute otherwise.

So a project folder can be moved or copied with its images, and images elsewhere are used where they lie.
"""

import os
from pathlib import Path


class ProjectPaths:
    """Turns paths into the registry's names and back."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def uri_from_path(self, path: Path) -> str:
        """Name a file; symbolic links are kept as they are, `..` is not."""
        absolute = Path(os.path.normpath(Path.cwd() / path))
        if absolute.is_relative_to(self._root):
            return absolute.relative_to(self._root).as_posix()
        return absolute.as_posix()

    def path_from_uri(self, uri: str) -> Path:
        """Find a named file."""
        return self._root / uri
