"""How the registry names files: relative to the project folder where they lie below it, absolute otherwise.

So a project folder can be moved or copied with its images, and images elsewhere are used where they lie. Remote files
are named by their URI and read through a cache in the project folder.
"""

import os
from pathlib import Path

from db.imaging.files import ImageFile, is_uri

CACHE = Path(".cache") / "images"


class ProjectPaths:
    """Turns paths and image files into the registry's names and back."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._prefix = root.as_posix().rstrip("/") + "/"
        self.cache = root / CACHE

    def uri_from_path(self, path: Path) -> str:
        """Name a local file; symbolic links are kept as they are, `..` is not."""
        absolute = Path(os.path.normpath(Path.cwd() / path))
        if absolute.is_relative_to(self._root):
            return absolute.relative_to(self._root).as_posix()
        return absolute.as_posix()

    def path_from_uri(self, uri: str) -> Path:
        """Find a named local file."""
        return self._root / uri

    def uri_from_file(self, file: ImageFile | Path) -> str:
        """Name an image."""
        file = ImageFile.at(file)
        text = str(file)
        return text if file.is_remote else text.removeprefix(self._prefix)

    def file_from_uri(self, uri: str) -> ImageFile:
        """Find a named image."""
        text = uri if is_uri(uri) or uri.startswith("/") or uri[1:3] == ":/" else self._prefix + uri
        return ImageFile.from_text(text, cache=self.cache)
