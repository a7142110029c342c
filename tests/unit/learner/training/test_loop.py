"""What one step does: the gate inside the loss, the ramp of alpha, the averaged teacher, the rates."""

import math
from pathlib import Path

import pytest
import torch

from learner.config import make_config
from learner.data.dataset import FramedData
from learner.data.examples import Example
from learner.data.letterbox import frame_of
from learner.network.build import build_model
from learner.training.epoch_choice import is_better, selection_score
from learner.training.loop import epoch_batches, epoch_generator, validate
from learner.training.stages import make_stages
from learner.training.state import make_learner, set_rates, update_teacher
from learner.training.step import Batch, _alpha, batch_losses

CPU = torch.device("cpu")


def data(count=4, known=2, side=32):
    examples = [Example(Path("x"), side, side, "a") for _ in range(count)]
    targets = torch.zeros(count, 1, side, side, dtype=torch.uint8)
    targets[:known, :, 8:24, 8:24] = 255
    return FramedData(
        examples=examples,
        frames=[frame_of(side, side, side, "resize")] * count,
        images_N3SS=torch.randint(0, 255, (count, 3, side, side), dtype=torch.uint8),
        targets_N1SS=targets,
        known_N=torch.arange(count) < known,
        class_N=torch.zeros(count, dtype=torch.int64),
        presence_N=torch.where(torch.arange(count) < known, 1, -1).to(torch.int8),
    )


def learner_with(preset="paper", **overrides):
    config = make_config(
        preset, {"encoder": "resnet10t", "size": 32, "head_channels": 8, "weights": "none", **overrides}
    )
    torch.manual_seed(0)
    return make_learner(build_model(config, 2), config, CPU)


def sure_of(learner, probability):
    """Make the classifier answer with this probability for the first class, whatever it sees."""
    score = learner.model.classifier.score
    torch.nn.init.zeros_(score.weight)
    with torch.no_grad():
        score.bias.copy_(torch.tensor([math.log(probability), math.log(1 - probability)]))


def losses_of(learner, number=2):
    stage = make_stages(learner.config)[number - 1]
    batch = Batch(torch.arange(4), torch.ones(4))
    return batch_losses(learner, data(), stage, batch, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("probability", "taught"), [(0.79, False), (0.81, True)])
def test_pseudo_masks_teach_only_above_tau(probability, taught):
    learner = learner_with()
    sure_of(learner, probability)
    assert bool(losses_of(learner)["pseudo"] > 0) == taught


def test_the_total_is_eq_7():
    learner = learner_with()
    sure_of(learner, 0.9)
    found = losses_of(learner)
    expected = 0.5 * found["classification"] + 0.5 * (found["localization"] + 0.1 * found["pseudo"])
    assert found["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert found["classification"].item() == pytest.approx(-math.log(0.9), rel=1e-5)


def test_the_first_stage_knows_no_classes():
    assert set(losses_of(learner_with(), number=1)) == {"loss"}


def test_without_pseudo_masks_images_without_a_location_teach_only_classes():
    learner = learner_with(pseudo="none")
    sure_of(learner, 0.9)
    assert losses_of(learner)["pseudo"] == 0


def test_the_teacher_answers_in_the_default_preset():
    learner = learner_with("default")
    sure_of(learner, 0.9)
    assert losses_of(learner)["pseudo"] >= 0
    assert all(not parameter.requires_grad for parameter in learner.teacher.parameters())
    assert not learner.teacher.training


def test_alpha_grows_over_its_ramp():
    learner = learner_with("default", alpha=0.5, alpha_rampup=0.2)
    learner.total_steps = 100
    seen = []
    for step in (0, 9, 19, 60):
        learner.steps = step
        seen.append(_alpha(learner))
    assert seen == pytest.approx([0.5 / 20, 0.25, 0.5, 0.5])


def test_the_teacher_is_a_running_average():
    learner = learner_with("default", ema_decay=0.9)
    name, parameter = next(iter(learner.model.named_parameters()))
    before = dict(learner.teacher.named_parameters())[name].clone()
    with torch.no_grad():
        parameter.add_(1.0)
    learner.steps = 1000
    update_teacher(learner)
    after = dict(learner.teacher.named_parameters())[name]
    assert torch.allclose(after, before + 0.1, atol=1e-6)


def test_the_rate_warms_up_and_falls():
    learner = learner_with("default", lr=0.1)
    learner.total_steps = 100
    rates = []
    for step in (0, 5, 50, 100):
        learner.steps = step
        set_rates(learner)
        rates.append(learner.optimizer.param_groups[1]["lr"])
    assert rates[0] == pytest.approx(0.1 / 5)
    assert rates[1] > rates[2] > rates[3]
    assert rates[3] == pytest.approx(0.001)


def test_validation_counts_a_miss_as_zero():
    learner = learner_with()
    torch.nn.init.constant_(learner.model.lanet.fuse[1].bias, -50.0)
    sure_of(learner, 0.9)
    measured = validate(learner, data())
    assert (measured["dice"], measured["accuracy"], measured["auc"]) == (0, 1, None)


def test_an_empty_image_with_nothing_drawn_is_right():
    learner = learner_with()
    torch.nn.init.constant_(learner.model.lanet.fuse[1].bias, -50.0)
    framed = data()
    framed.presence_N[0], framed.targets_N1SS[0] = 0, 0
    assert validate(learner, framed)["empty"] == 1
    torch.nn.init.constant_(learner.model.lanet.fuse[1].bias, 50.0)
    assert validate(learner, framed)["empty"] == 0


def test_what_cannot_be_measured_counts_nothing():
    measured = {"accuracy": 0.7, "auc": None, "dice": 0.5, "empty": None}
    assert selection_score(measured, "accuracy") == 0.7
    assert selection_score(measured, "dice_auc") == 0.5
    assert selection_score(measured, "last") is None
    assert selection_score(measured | {"auc": 0.75, "empty": 0.25}, "dice_auc") == pytest.approx(0.375 + 0.75)
    assert selection_score(dict.fromkeys(measured), "dice_auc") is None


def test_where_nothing_can_be_measured_the_last_epoch_is_kept():
    kept = None
    for epoch, score in enumerate([None, None, None], start=1):
        kept = epoch if is_better(score, None) else kept
    assert kept == 3
    assert is_better(0.5, 0.5)
    assert not is_better(0.4, 0.5)


def test_the_average_goes_on_through_the_second_stage():
    """It used to begin anew, so that it lay 10 / 11 of the way to the untrained weights when pseudo masks began."""
    learner = learner_with("default", ema_decay=0.99)
    name, parameter = next(iter(learner.model.named_parameters()))
    before = dict(learner.teacher.named_parameters())[name].clone()
    with torch.no_grad():
        parameter.add_(1.0)
    learner.steps_before, learner.steps = 1000, 0
    update_teacher(learner)
    assert torch.allclose(dict(learner.teacher.named_parameters())[name], before + 0.01, atol=1e-6)


def test_images_that_are_drawn_often_do_not_skew_the_class_loss():
    learner = learner_with("default", pseudo="none")
    score = learner.model.classifier.score
    torch.nn.init.zeros_(score.weight)
    with torch.no_grad():
        score.bias.copy_(torch.tensor([0.0, math.log(3)]))
    framed = data()
    framed.class_N[:] = torch.tensor([0, 0, 1, 1])
    stage = make_stages(learner.config)[1]
    batch = Batch(torch.arange(4), torch.tensor([55.0, 55.0, 1.0, 1.0]))
    found = batch_losses(learner, framed, stage, batch, torch.Generator().manual_seed(0))["classification"].item()
    rare, often = -math.log(3 / 4), -math.log(1 / 4)
    assert found == pytest.approx((often / 55 + rare) / (1 / 55 + 1), rel=1e-5)


def test_a_batch_of_images_that_come_often_does_not_get_the_weight_of_all():
    """Only located images of this batch have a class: over the epoch they are 2 of 4, whatever this batch holds."""
    learner = learner_with("default", pseudo="none")
    sure_of(learner, 0.9)
    stage, draws = make_stages(learner.config)[1], torch.tensor([4.0, 4.0, 1.0, 1.0])
    generator = torch.Generator().manual_seed(0)
    batch = Batch(torch.tensor([0, 1]), draws, of_alike=5)
    found = batch_losses(learner, data(), stage, batch, generator)["classification"].item()
    # Each weighs 1/4; a batch's share of the 4 classed images is 4/5.
    assert found == pytest.approx(-math.log(0.9) * (2 / 4) / (4 / 5), rel=1e-5)


def test_both_stages_take_as_many_steps_as_the_floor():
    config = make_config("default", {"min_steps": 100, "batch_size": 2})
    for stage in make_stages(config):
        epoch = epoch_batches(data(), stage, config, epoch_generator(config, stage, 1))
        assert stage.epochs * len(epoch.batches) >= 100
    assert make_config("default", {"epochs": 3}).min_steps == 0


def test_presence_is_learned_from_what_is_known():
    learner = learner_with("default", pseudo="none")
    framed = data()
    framed.presence_N[:] = torch.tensor([1, 0, -1, -1])
    stage, batch = make_stages(learner.config)[1], Batch(torch.arange(4), torch.ones(4))
    head = learner.model.presence.score
    torch.nn.init.zeros_(head.weight)
    with torch.no_grad():
        head.bias.fill_(math.log(4))  # It says .8 of every image.
    losses = batch_losses(learner, framed, stage, batch, torch.Generator().manual_seed(0))
    assert losses["presence"].item() == pytest.approx(-(math.log(0.8) + math.log(0.2)) / 2, rel=1e-5)
    rest = 0.5 * losses["classification"] + 0.5 * losses["localization"]
    assert losses["loss"].item() == pytest.approx((rest + 0.5 * losses["presence"]).item(), rel=1e-5)
