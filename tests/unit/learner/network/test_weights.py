"""A file of weights is loaded whole, whatever its names begin with, or not at all."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from learner.errors import WeightsUnavailable
from learner.network.encoder import Encoder
from learner.network.weights import load_encoder_weights, misfit


def quarter(state):
    return {name: torch.full_like(value, 0.25) for name, value in state.items()}


def written(tmp_path, state):
    file = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, file)
    return str(file)


@pytest.fixture
def encoder():
    return Encoder("test_resnet", size=64)


def is_quarter(encoder):
    return all(bool((value == 0.25).all()) for value in encoder.body.parameters())


@pytest.mark.parametrize("prefix", ["", "encoder.body.", "model.", "module.", "backbone.", "model.encoder.body."])
def test_names_may_have_a_prefix_and_a_classifier_beside_them(tmp_path, encoder, prefix):
    state = {f"{prefix}{name}": value for name, value in quarter(encoder.body.state_dict()).items()}
    head = {f"{prefix}fc.weight": torch.zeros(3, 8), f"{prefix}head.bias": torch.zeros(3)}
    load_encoder_weights(encoder, written(tmp_path, state | head))
    assert is_quarter(encoder)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_a_file_of_timms_whole_model_fits_its_encoder(tmp_path, name):
    whole = timm.create_model(name, pretrained=False)
    encoder = Encoder(name, size=160)
    load_encoder_weights(encoder, written(tmp_path, quarter(whole.state_dict())))
    assert is_quarter(encoder)


def test_one_tensor_that_lacks_is_enough_to_refuse(tmp_path, encoder):
    before = {name: value.clone() for name, value in encoder.body.state_dict().items()}
    state = quarter(before)
    first = "conv1.0.weight"
    del state[first]
    with pytest.raises(WeightsUnavailable, match=rf"1 of the \d+ tensors are missing \({first}\)"):
        load_encoder_weights(encoder, written(tmp_path, state))
    assert all(torch.equal(value, before[name]) for name, value in encoder.body.state_dict().items()), "not by half"


def test_tensors_of_another_shape_are_counted_and_three_are_named(tmp_path, encoder):
    state = quarter(encoder.body.state_dict())
    names = [name for name, value in state.items() if value.ndim == 4][:5]
    for name in names:
        state[name] = torch.zeros(1, 1, 1, 1)
    with pytest.raises(WeightsUnavailable, match="another shape") as caught:
        load_encoder_weights(encoder, written(tmp_path, state))
    assert all(f"{name} (1, 1, 1, 1) instead of" in str(caught.value) for name in names[:3])
    assert names[3] not in str(caught.value)
    assert "5 of the" in str(caught.value)


def test_a_file_of_another_encoder_is_refused(tmp_path, encoder):
    other = timm.create_model("test_vit", pretrained=False)
    with pytest.raises(WeightsUnavailable, match="does not fit encoder=test_resnet, and nothing was loaded"):
        load_encoder_weights(encoder, written(tmp_path, other.state_dict()))
    with pytest.raises(WeightsUnavailable, match="cannot be read"):
        load_encoder_weights(encoder, str(tmp_path / "nothing.safetensors"))


def test_counters_that_older_programs_do_not_write_may_lack(tmp_path, encoder):
    state = quarter(encoder.body.state_dict())
    counters = [name for name in state if name.endswith("num_batches_tracked")]
    assert counters
    load_encoder_weights(encoder, written(tmp_path, {key: state[key] for key in state if key not in counters}))
    assert is_quarter(encoder)


def test_a_misfit_says_nothing_where_all_is_well():
    assert misfit({"a": torch.zeros(2)}, {"a": torch.ones(2), "b": torch.ones(3)}) == ""


def test_encoders_know_what_their_weights_were_made_with():
    assert Encoder("test_vit", size=160).pretrained_statistics() == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert Encoder("resnet10t").pretrained_statistics() == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
