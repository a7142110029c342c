"""What partly wrote itself and somebody else may have changed: backups and checkpoints."""

import hashlib
import importlib
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from annotator.datasets.phantoms import write_phantoms
from tests.fuzz.harness import Lost
from tests.fuzz.mutations import VALUES, changed_document, damaged, pick
from tests.fuzz.project import Project, checked

TINY = {"encoder": "test_resnet", "size": 32, "batch_size": 8, "head_channels": 8, "device": "cpu", "epochs": 1}
STATEMENTS = (
    "CREATE VIEW more AS SELECT * FROM images",
    "CREATE TRIGGER more AFTER INSERT ON images BEGIN DELETE FROM images; END",
    "CREATE TRIGGER more AFTER UPDATE ON alembic_version BEGIN DELETE FROM images; END",
    "CREATE TABLE more (a)",
    "CREATE INDEX more ON images (id DESC)",
    "CREATE VIRTUAL TABLE more USING fts5(a)",
    "DROP TABLE labels",
    "DROP TABLE alembic_version",
    "ALTER TABLE images RENAME TO pictures",
    "ALTER TABLE images ADD COLUMN more TEXT DEFAULT (random())",
    "UPDATE alembic_version SET version_num = '0001'",
    "UPDATE alembic_version SET version_num = 'x'",
    "DELETE FROM alembic_version",
    "PRAGMA user_version = 7",
    "PRAGMA application_id = 7",
    "PRAGMA journal_mode = WAL",
)


class Backups:
    """`partly db restore` of a damaged backup into a new project."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder)
        write_phantoms(folder / "set", 8, seed=1)
        project = self.project.renew()
        checked("--project", str(project), "import", str(folder / "set/labels.csv"), "--json", codes=(0,))
        self.file = folder / "backup.partly"
        checked("--project", str(project), "db", "backup", str(self.file), "--json", codes=(0,))
        self.before = self.file.read_bytes()
        self.images = 8

    def damage(self, rng) -> str:
        if rng.integers(3) == 0:
            self.file.write_bytes(damaged(self.before, rng))
            return "bytes"
        with closing(sqlite3.connect(self.file)) as connection, connection:
            return self._change(connection, rng)

    def _change(self, connection, rng):
        if rng.integers(2):
            statement = pick(rng, STATEMENTS)
            try:
                connection.execute(statement)
            except sqlite3.Error:
                return f"not possible: {statement}"
            return statement
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{row[0]}"')
        filled = [table for table in tables if connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]]
        table = pick(rng, filled)
        column = pick(rng, [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')])
        value = pick(rng, [value for value in VALUES if isinstance(value, str | float | bytes | None)] + [b"\xff", -1])
        try:
            connection.execute(
                f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = (SELECT min(rowid) FROM "{table}")', [value]
            )
        except (sqlite3.Error, UnicodeError):
            return f"not possible: {table}.{column} = {value!r}"
        return f"{table}.{column} = {value!r}, without triggers"

    def restore(self) -> None:
        for suffix in ("-wal", "-shm", "-journal"):
            self.file.with_name(self.file.name + suffix).unlink(missing_ok=True)
        self.file.write_bytes(self.before)

    def use(self) -> str:
        project = self.project.folder
        shutil.rmtree(project, ignore_errors=True)
        project.mkdir()
        (project / "partly.toml").touch()
        code, _ = checked("--project", str(project), "db", "restore", str(self.file), "--json")
        there, status = checked("--project", str(project), "status", "--json")
        number = status["images"]["total"] if not there else 0
        if code:
            if number:
                raise Lost(f"the restore was refused, and left {number} images")
            return "refused"
        if there:
            raise Lost("the restore ended well, and the registry cannot be read")
        for command in (("db", "check"), ("log",), ("doctor",)):
            checked("--project", str(project), *command, "--json")
        return "fine"


class Checkpoints:
    """`partly propose` with a run whose checkpoint was changed."""

    def __init__(self, folder: Path) -> None:
        for module in ("cli.commands.propose", "learner.inference.propose", "timm", "torch._dynamo"):
            # Once, and not in every process: it takes as long as a trial may.
            importlib.import_module(module)
        self.project = Project(folder)
        write_phantoms(folder / "set", 16, seed=1)
        project = self.project.pristine
        checked(
            "--project", str(project), "import", str(folder / "set/labels.csv"), "--keep-locations", "0.5", codes=(0,)
        )
        # Not in this process: torch's threads do not survive a fork.
        settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
        subprocess.run(
            [sys.executable, "-m", "partly", "--project", str(project), "train", "--weights", "none", *settings],
            check=True,
            capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        (self.place,) = {path.parent for path in project.rglob("checkpoint.json")}
        self.files = {path: path.read_bytes() for path in self.place.iterdir()}

    def damage(self, rng) -> str:
        (description,) = self.place.glob("checkpoint.json")
        (weights,) = self.place.glob("checkpoint-*.safetensors")
        kind = rng.integers(5)
        if kind == 0:
            name = pick(rng, (description, weights))
            name.write_bytes(damaged(self.files[name], rng))
            return f"bytes of {name.name}"
        if kind == 1:
            document = changed_document({"all": json.loads(self.files[description])}, rng)
            description.write_text(json.dumps(document.get("all", document)))
            return "the description"
        if kind == 2:
            document = json.loads(self.files[description])
            document["config"] = changed_document(document["config"], rng)
            if rng.integers(3) == 0:
                document["config"]["encoder"] = pick(rng, ("hf-hub:someone/x", "local-dir:/etc", "resnet9999", "", 7))
            if rng.integers(3) == 0:
                document["config"][pick(rng, ("size", "head_channels"))] = pick(rng, (10**9, 10**5, 33, 0, 1))
            description.write_text(json.dumps(document))
            return "the settings"
        changed = self._weights(self.files[weights], rng, names=kind == 3)
        weights.write_bytes(changed)
        document = json.loads(self.files[description]) | {"sha256": hashlib.sha256(changed).hexdigest()}
        description.write_text(json.dumps(document))
        return "the weights, with their checksum"

    def _weights(self, data, rng, *, names):
        (length,) = struct.unpack("<Q", data[:8])
        header, body = data[8 : 8 + length], data[8 + length :]
        if names:
            header = json.dumps(changed_document(json.loads(header), rng)).encode()
        elif rng.integers(2):
            header = damaged(header, rng)
        else:
            # Not a number, in a place of one tensor.
            at = int(rng.integers(len(body) // 4)) * 4
            body = body[:at] + struct.pack("<f", float(pick(rng, ("nan", "inf")))) + body[at + 4 :]
        return struct.pack("<Q", len(header)) + header + body

    def restore(self) -> None:
        shutil.rmtree(self.place)
        self.place.mkdir()
        for path, content in self.files.items():
            path.write_bytes(content)

    def use(self) -> str:
        import torch

        torch.set_num_threads(1)
        project = self.project.renew()
        code, _ = checked("--project", str(project), "propose", "--tau", "0.1", "--json")
        checked("--project", str(project), "status", "--json", codes=(0,))
        return "refused" if code else "fine"
