"""A project of its own for every trial, and how commands are run in it."""

import json
import shutil
from pathlib import Path

from cli.exits import LABEL_STUDIO, REGISTRY, TRAINING, USAGE
from db.registry import create_registry, open_registry
from tests.fuzz.harness import run_command

SHOWN = (USAGE, LABEL_STUDIO, REGISTRY, TRAINING)
"""Exit codes with a message; anything else that is not 0 is a bug."""


def checked(*arguments, codes=(0, *SHOWN)):
    """Run a command; its exit code, and its JSON document where it printed one."""
    code, out, err = run_command(*arguments)
    if code not in codes or "Traceback" in err:
        raise AssertionError(f"exit code {code} of partly {' '.join(arguments)}\n{out[-1000:]}\n{err[-6000:]}")
    if code and not err.strip() and not out.strip():
        raise AssertionError(f"exit code {code} of partly {' '.join(arguments)} without a word")
    return code, json.loads(out) if out.strip().startswith("{") else None


class Project:
    """A project that was made once, and a copy of it for every trial."""

    def __init__(self, folder: Path) -> None:
        self.pristine = folder / "pristine-project"
        self.folder = folder / "project"
        self.pristine.mkdir(parents=True)
        (self.pristine / "partly.toml").touch()
        create_registry(f"sqlite:///{self.pristine}/registry.sqlite3", self.pristine).close()

    def renew(self) -> Path:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.pristine, self.folder)
        return self.folder


def registered(project: Path):
    """What a registry knows of its images: class, boxes and the location's status, by the file's bare name."""
    registry = open_registry(f"sqlite:///{project}/registry.sqlite3", project)
    with registry.read() as tx:
        found = {
            image.path.stem: [
                image.class_name,
                [[box.x, box.y, box.width, box.height] for box in image.boxes],
                str(image.location_status),
            ]
            for image in tx.images.select()
        }
    registry.close()
    return found
