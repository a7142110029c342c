from dataclasses import replace
from types import SimpleNamespace

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from db.curation.splitting import split_images
from db.progress import SilentProgress
from db.records import Box
from learner.config import make_config
from learner.data.known_lesions import has_several_lesions
from learner.training.prepare import plan_training
from learner.training.start import Start, is_same_training, stored_settings


def images(*counts):
    return [SimpleNamespace(boxes=(Box(1, 1, 5, 5),) * count) for count in counts]


def test_one_in_twenty_makes_several():
    assert not has_several_lesions(images(*[1] * 40))
    assert not has_several_lesions(images(2, *[1] * 39))
    assert has_several_lesions(images(2, 3, *[1] * 38))
    # Images without a lesion are not counted.
    assert has_several_lesions(images(2, *[1] * 19, *[0] * 100))
    assert not has_several_lesions(images(0, 0))
    assert not has_several_lesions([])


@pytest.mark.parametrize(("masses", "chosen"), [(1, "off"), (2, "on")])
def test_a_training_chooses_by_its_own_locations_and_is_found_again(registry, tmp_path, masses, chosen):
    write_phantoms(tmp_path / "set", 30, masses=masses, touching=True)
    import_images(registry, ImportRequest(tmp_path / "set", "csv"))
    split_images(registry, val=0.2, test=0.2)
    wanted = make_config("default", {"size": 32, "device": "cpu", "weights": "none", "encoder": "test_resnet"})
    plan = plan_training(registry, wanted, resume=False, progress=SilentProgress(), dry_run=True)
    assert plan.config.split_lesions == chosen
    stored = stored_settings(wanted, Start(replace(plan.config, normalize="imagenet")))
    assert is_same_training(stored, wanted)
    assert is_same_training(stored, replace(wanted, split_lesions=chosen))
    assert not is_same_training(stored, replace(wanted, split_lesions="on" if chosen == "off" else "off"))


def test_what_was_asked_for_is_kept(registry, phantoms):
    import_images(registry, ImportRequest(phantoms, "csv"))
    split_images(registry, val=0.2, test=0.2)
    wanted = make_config("default", {"size": 32, "split_lesions": "on"})
    plan = plan_training(registry, wanted, resume=False, progress=SilentProgress(), dry_run=True)
    assert plan.config.split_lesions == "on"
