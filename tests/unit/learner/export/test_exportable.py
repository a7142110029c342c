"""The exported graph does what partly does: Pillow's own pixels in, the image's own frame out, the gate's own score."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from learner.config import make_config
from learner.data.letterbox import frame_of, framed_image, unframed
from learner.export.exportable import Exportable
from learner.inference.gate import Evidence, gate_score, pairwise_dice
from learner.network.interface import Network, Output

SIZE = 32


class Fixed(Network):
    """Answers with what it is given, and remembers what it was shown."""

    def __init__(self, mask_V1HW, class_VK, presence_V=None):
        super().__init__()
        self.encoder, self.answer = nn.Identity(), Output(mask_V1HW, class_VK, presence_V)
        self.judges_presence = presence_V is not None

    def forward(self, image_B3HW):
        self.seen = image_B3HW
        return self.answer


def exportable(network, **overrides):
    given_ = {"size": SIZE, "normalize": "unit", "tta": False, "presence": network.judges_presence}
    return Exportable(network, make_config("default", given_ | overrides)).eval()


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def blank(views=1):
    return Fixed(torch.zeros(views, 1, SIZE, SIZE), torch.zeros(views, 2))


@pytest.mark.parametrize("framing", ["letterbox", "resize"])
@settings(max_examples=100)
@given(height=st.integers(1, 300), width=st.integers(1, 300), seed=st.integers(0, 9))
def test_the_network_sees_the_pixels_that_it_was_trained_on(framing, height, width, seed):
    image_HW3, network = picture(height, width, seed), blank()
    with torch.inference_mode():
        exportable(network, framing=framing)(torch.from_numpy(image_HW3))
    frame = frame_of(width, height, SIZE, framing)
    wanted = framed_image(image_HW3, frame, SIZE).astype(int)
    found = np.rint(network.seen[0].numpy() * 255).astype(int)
    assert (found == wanted).all()


def test_views_and_input_range_are_partlys():
    network = blank(4)
    image_HW3 = picture(SIZE, SIZE)
    with torch.inference_mode():
        exportable(network, tta=True, normalize="0.5,0.4,0.3/0.2,0.1,0.3")(torch.from_numpy(image_HW3))
    unit = image_HW3.transpose(2, 0, 1) / 255
    mean, std = np.array([0.5, 0.4, 0.3])[:, None, None], np.array([0.2, 0.1, 0.3])[:, None, None]
    views = [unit, unit[:, :, ::-1], unit.clip(1e-4) ** 0.8, unit.clip(1e-4) ** 1.25]
    assert network.seen.numpy() == pytest.approx(np.stack([(view - mean) / std for view in views]), abs=1e-4)


@settings(max_examples=40)
@given(height=st.integers(1, 200), width=st.integers(1, 200), letterbox=st.booleans())
def test_the_mask_comes_back_to_the_images_own_frame(height, width, letterbox):
    logits = torch.randn(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(height))
    framing = "letterbox" if letterbox else "resize"
    with torch.inference_mode():
        said = exportable(Fixed(logits, torch.zeros(1, 2)), framing=framing)(torch.from_numpy(picture(height, width)))
    wanted = unframed(torch.sigmoid(logits)[0, 0], frame_of(width, height, SIZE, framing))
    assert said["mask"].shape == (height, width)
    assert said["mask"].numpy() == pytest.approx(wanted.numpy(), abs=1e-5)


@pytest.mark.parametrize("gate", ["agreement", "class"])
@pytest.mark.parametrize("views", [1, 4])
@pytest.mark.parametrize("presence", [None, 0.9, 0.2])
@pytest.mark.parametrize("lesion", [True, False])
def test_the_score_is_the_gates(gate, views, presence, lesion):
    generator = torch.Generator().manual_seed(views)
    # Views that overlap in part; the second one is mirrored.
    logits = torch.full((views, 1, SIZE, SIZE), -4.0)
    for view in range(views * lesion):
        row = slice(SIZE - 24 - view, SIZE - 14 - view) if view == 1 else slice(14 + view, 24 + view)
        logits[view, 0, 8:20, row] = 3.0
    classes = torch.randn(views, 3, generator=generator)
    of_presence = None if presence is None else torch.full((views,), float(np.log(presence / (1 - presence))))
    network = Fixed(logits, classes, of_presence)
    with torch.inference_mode():
        said = exportable(network, gate=gate, tta=views == 4)(torch.from_numpy(picture(SIZE, SIZE)))
    masks = torch.sigmoid(logits)[:, 0]
    masks = torch.cat([masks[:1], masks[1:2].flip(-1), masks[2:]]).numpy()
    mean = masks.mean(0)
    probability = classes.softmax(1).mean(0).double().numpy()
    certainty = float(mean[mean > 0.5].mean()) if lesion else 0.0
    agreement = pairwise_dice(masks > 0.5) if views > 1 else certainty
    shown = lesion and (presence is None or presence >= 0.5)
    wanted = gate_score(gate, Evidence(probability, agreement, presence, shown))
    assert said["score"].item() == pytest.approx(wanted, abs=1e-5)
    assert said["class_probability"].numpy() == pytest.approx(probability, abs=1e-6)
    assert list(said) == ["class_probability", *(["presence"] if presence is not None else []), "score", "mask"]
    if lesion and shown:
        assert 0 < wanted < 1


def test_two_views_without_anything_agree():
    """As `pairwise_dice` has it: the same nothing; but nothing in the first view is no agreement at all."""
    logits = torch.full((4, 1, SIZE, SIZE), -4.0)
    logits[0, 0, 4:28, 4:28] = 30.0
    with torch.inference_mode():
        said = exportable(Fixed(logits, torch.zeros(4, 2), torch.full((4,), 9.0)), tta=True)(
            torch.from_numpy(picture(SIZE, SIZE))
        )
    masks = (torch.sigmoid(logits)[:, 0] > 0.5).numpy()
    assert pairwise_dice(masks) == pytest.approx(0.5)
    # The mean of the views is above .5 nowhere, so that no box is shown: no score.
    assert said["score"].item() == 0.0
