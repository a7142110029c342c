"""What is attacked: each target makes something valid once, damages it for a trial, and uses it as a user would."""

from pathlib import Path

from tests.fuzz.data_sets import LAYOUTS, NAMES, PICTURES, make, picture, suffix
from tests.fuzz.harness import Lost
from tests.fuzz.mutations import damaged, restructured
from tests.fuzz.project import Project, checked, registered
from tests.fuzz.server_targets import BackendRequests, Reviews
from tests.fuzz.stored_targets import Backups, Checkpoints


class DataSets:
    """`partly import` of a data set with one damaged file."""

    def __init__(self, layout: str, folder: Path) -> None:
        self.layout, self.root = layout, folder / "set"
        self.own = make(self.root, layout)
        self.project = Project(folder)
        self.files = sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())
        self.good = self._read()[1]
        assert set(self.good) == set(NAMES)

    def _read(self):
        project = self.project.renew()
        more = ["--origin", "1"] if self.layout == "voc" else []
        code, document = checked(
            *("--project", str(project), "import", str(self.root), "--layout", self.layout, "--force", "--json", *more)
        )
        return code, registered(project), document

    def damage(self, rng) -> str:
        self.name = self.files[rng.integers(len(self.files))]
        self.before = (self.root / self.name).read_bytes()
        change = restructured(self.name, self.before, rng) if rng.integers(2) else damaged(self.before, rng)
        (self.root / self.name).write_bytes(change)
        return self.name

    def restore(self) -> None:
        (self.root / self.name).write_bytes(self.before)

    def use(self) -> str:
        code, found, _ = self._read()
        if self.name in self.own:
            for other in set(NAMES) - {self.own[self.name]}:
                if found.get(other) != self.good[other]:
                    raise Lost(f"{self.name} was damaged, {other} is {found.get(other)} instead of {self.good[other]}")
        if not code and set(found) != set(NAMES) and self.name in self.own:
            raise Lost(f"exit code 0, and only {sorted(found)} are registered")
        return "refused" if code else "fine"


class Pictures:
    """`partly import` of a damaged picture between two good ones."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.root = folder / "set"
        place = self.root / "benign"
        place.mkdir(parents=True)
        for name in ("a", "c"):
            (place / f"{name}.png").write_bytes(picture("png", ord(name)))
        self.file = place / f"b{suffix(kind)}"
        self.before = picture(kind, 5)
        self.file.write_bytes(self.before)
        self.project = Project(folder)
        self.good = self._read()[1]

    def _read(self):
        project = self.project.renew()
        code, _ = checked("--project", str(project), "import", str(self.root), "--layout", "folders", "--json")
        return code, registered(project)

    def damage(self, rng) -> str:
        change = damaged if rng.integers(2) else lambda data, rng: restructured(self.file.name, data, rng)
        self.file.write_bytes(change(self.before, rng))
        return self.file.name

    def restore(self) -> None:
        self.file.write_bytes(self.before)

    def use(self) -> str:
        code, found = self._read()
        for name in ("a", "c"):
            if found.get(name) != self.good[name]:
                raise Lost(f"{name} is {found.get(name)} instead of {self.good[name]}")
        return "refused" if code else "fine"


TARGETS = {
    **{f"import {layout}": (lambda folder, layout=layout: DataSets(layout, folder)) for layout in LAYOUTS},
    **{f"picture {kind}": (lambda folder, kind=kind: Pictures(kind, folder)) for kind in PICTURES},
    "reviews": Reviews,
    "backend requests": BackendRequests,
    "backups": Backups,
    "checkpoints": Checkpoints,
}
