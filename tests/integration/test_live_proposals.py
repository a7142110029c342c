"""Proposals while people work, with a real model, where files of images are damaged or gone."""

import shutil
from pathlib import Path

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.splitting import split_images
from db.progress import SilentProgress
from db.records import Split
from learner.config import make_config
from learner.inference.live import LiveProposer
from learner.training.train import train_model

TINY = {"encoder": "resnet10t", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8, "device": "cpu",
        "stage1_epochs": 1, "stage2_epochs": 1}  # fmt: skip


class Told:
    """Keeps what is said."""

    def __init__(self, inner):
        self.inner, self.said = inner, []

    def say(self, text):
        self.said.append(text)

    def __getattr__(self, name):
        return getattr(self.inner, name)


@pytest.fixture
def running(registry, phantoms, tmp_path):
    """A proposer and images of our own without a location, none of which anybody has asked about."""
    copied = shutil.copytree(phantoms, tmp_path / "copied")
    import_images(registry, ImportRequest(copied, "csv", keep_locations=0.4))
    split_images(registry, val=0.2, test=0.2)
    train_model(registry, make_config("default", TINY))
    with registry.read() as tx:
        images = tx.images.select(splits=[Split.TRAIN], located=False)
    told = Told(SilentProgress())
    proposer = LiveProposer(registry, tau=0.0, progress=told)
    return proposer, copied, images, told


def damage(folder, image, how):
    file = Path(image.path.location)
    assert file.is_relative_to(folder.resolve()), "these files are others', too"
    file.unlink()
    if how == "cut":
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    elif how == "folder":
        file.mkdir()
    elif how == "empty":
        file.write_bytes(b"")


def test_images_that_cannot_be_read_take_no_other_with_them(running):
    proposer, folder, images, told = running
    kinds = ("cut", "gone", "folder", "empty")
    bad, good = images[: len(kinds)], images[len(kinds) : len(kinds) + 4]
    assert len(good) == 4
    for image, how in zip(bad, kinds, strict=True):
        damage(folder, image, how)
    everybody = {image.id for image in (*bad, *good)}
    found = proposer.propose(everybody)
    assert found, "this model proposes nothing; the test needs it to"
    assert found.keys() <= {image.id for image in good}
    assert len([text for text in told.said if text.startswith("left out")]) == len(bad)
    # Also where nobody who is asked about can be read, and once more.
    assert proposer.propose({image.id for image in bad}) == {}
    assert proposer.propose(everybody) == found
    assert any("none of the 4 images can be read" in text for text in told.said)
