"""Runs the commands of a page in this process, on phantoms, with trainings that take seconds.

What is changed about a command, and nothing else is:

- commands that train get the settings of `TINY` behind their own, which therefore hold;
- `--tau 0.8` becomes 0, since a network of one epoch is sure of nothing, and what follows needs proposals;
- what goes on until Ctrl-C (`ENDLESS`) is not started; its options are checked, and it has tests of its own;
- `IMAGE` becomes the number of an image, `partly open` opens no browser, and an address may become that of a server
  of the tests.

Other programs' commands are left out, but for `cd`, `export` and the script that draws the tutorial's phantoms.
"""

import json
from pathlib import Path

from typer.testing import CliRunner

from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.local_server import read_account, studio_status
from annotator.label_studio.payload.labeling_config import result_from_boxes
from cli.main import app
from cli.settings import find_project, settings_of
from db.records import Box
from db.registry import open_registry
from tests.docs.pages import commands_of
from tests.json_outputs import check_document, command_in

TINY = [
    "--set", "encoder=resnet10t", "--set", "size=32", "--set", "stage1_epochs=1", "--set", "stage2_epochs=1",
    "--set", "batch_size=8", "--set", "head_channels=8", "--set", "device=cpu", "--set", "weights=none",
]  # fmt: skip
ENDLESS = {"dashboard", "serve", "--follow"}
NO_JSON = {"--csv", "--paths", "--print0"}
SCRIPT = "docs/tutorials/phantoms.py"
REVIEWED = 4
"""Tasks that are answered after a push."""


class Shell:
    """A folder, an environment, and what was run there."""

    def __init__(self, folder, monkeypatch, *, studio=None, addresses=None, as_json=False):
        self.monkeypatch, self.studio, self.addresses = monkeypatch, studio, addresses or {}
        self.as_json = as_json
        self.checked = set()
        self.count = 0
        monkeypatch.chdir(folder)
        # A page's own `export` must not outlive it.
        monkeypatch.setenv("PARTLY_DB", "")
        monkeypatch.delenv("PARTLY_DB")

    def run(self, text):
        """Run a block."""
        for words in commands_of(text):
            self.one([self._address(word) for word in words])

    def one(self, words):
        """Run a command, and see that it succeeds."""
        while words and "=" in words[0] and words[0].partition("=")[0].isupper():
            self.monkeypatch.setenv(*words[0].split("=", 1))
            words = words[1:]
        if not words:
            return
        if words[0] == "cd":
            self.monkeypatch.chdir(Path.cwd() / words[1])
        elif words[0] == "export":
            self.monkeypatch.setenv(*words[1].split("=", 1))
        elif words[0] == "python" and words[1] == SCRIPT:
            draw_tutorial(Path.cwd() / words[2])
        elif words[0] == "partly" and not ENDLESS & set(words):
            self.partly(self._changed(words[1:]))

    def partly(self, words):
        if self.as_json and "--json" not in words and not NO_JSON & set(words):
            words = [*words, "--json"]
        result = CliRunner().invoke(app, words)
        said = f"partly {' '.join(words)}\n{result.output[-3000:]}\n{result.stderr[-3000:]}"
        assert result.exit_code == 0, f"exit code {result.exit_code}: {said}"
        self.count += 1
        if "--json" in words:
            check_document(words, json.loads(result.stdout))
            self.checked.add(command_in(words))
        if command_in(words) == "push" and self.studio is not None:
            self.review()

    def review(self):
        """Answer a few tasks as an annotator would."""
        url, token = studio_status(self.studio).url, read_account(self.studio).token
        settings = settings_of(find_project(Path.cwd()), database=None)
        registry = open_registry(settings.database_url, settings.root)
        with LabelStudioClient(url, token) as client, registry.read() as tx:
            tasks = client.list_tasks(tx.connections.current().project_id, with_annotations=True)
            open_tasks = [task for task in tasks if not task.get("annotations")]
            for task in open_tasks[:REVIEWED]:
                image = tx.images.resolve(task["data"]["partly_key"].partition("-")[0])
                result = result_from_boxes([Box(9, 9, 40, 30)], image.width, image.height)
                client.create_annotation(int(task["id"]), result)
        registry.close()

    def _address(self, word):
        for written, real in self.addresses.items():
            word = word.replace(written, real)
        return word

    def _changed(self, words):
        found = []
        for word in words:
            if word == "IMAGE":
                found.append(str(self._image()))
            elif "*" in word and "/" in word:
                found += sorted(str(path) for path in Path.cwd().glob(word)) or [word]
            else:
                found.append(word)
        words = ["0" if word == "0.8" and found[place - 1] == "--tau" else word for place, word in enumerate(found)]
        trains = {"train", "round"} & set(words[:1]) or {"doctor", "--labels"} <= set(words)
        return [*words, *(TINY if trains else []), *(["--no-browser"] if words[:1] == ["open"] else [])]

    def _image(self):
        settings = settings_of(find_project(Path.cwd()), database=None)
        registry = open_registry(settings.database_url, settings.root)
        with registry.read() as tx:
            found = next(image.id for image in tx.images.select() if str(image.split) == "train")
        registry.close()
        return found


def draw_tutorial(folder, count=48):
    import importlib.util

    place = Path(__file__).parents[2] / SCRIPT
    spec = importlib.util.spec_from_file_location("tutorial_phantoms", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write_tutorial(folder, count)
