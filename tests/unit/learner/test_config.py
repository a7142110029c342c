import pytest

from learner.config import PRESETS, config_from_dict, make_config, parse_overrides, read_overrides
from learner.errors import ConfigInvalid


def test_values_are_typed_and_epochs_set_both_stages():
    config = make_config("paper", {"lr": "0.01", "cam": "off", "epochs": "3", "stage2_epochs": 5, "lambda": "0.3"})
    assert (config.lr, config.cam, config.stage1_epochs, config.stage2_epochs, config.lambda_) == (
        0.01,
        False,
        3,
        5,
        0.3,
    )


def test_the_paper_preset_is_the_papers():
    config = PRESETS["paper"]
    assert (config.lambda_, config.alpha, config.tau, config.batch_size, config.lr) == (0.5, 0.1, 0.8, 8, 1e-3)
    assert (config.stage1_epochs, config.size, config.optimizer, config.head) == (100, 256, "adam", "paper")
    assert (config.pseudo, config.pseudo_gate, config.select, config.gate) == ("self", "class", "accuracy", "class")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_configuration_survives_its_dictionary(preset):
    config = make_config(preset, {"seed": 7, "lambda": 0.25})
    assert config_from_dict(config.to_dict()) == config
    assert "lambda" in config.to_dict()


def test_the_head_of_a_stored_run_keeps_its_network():
    """Runs of earlier versions call the feature pyramid `default`, which is U-Net's decoder now."""
    stored = make_config("default", {"head": "fpn"}).to_dict() | {"head": "default"}
    assert config_from_dict(stored).head == "fpn"
    assert make_config("default").head == "unet"
    with pytest.raises(ConfigInvalid, match="head=default"):
        make_config("default", {"head": "default"})


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(ConfigInvalid, match="'batchsize'; did you mean 'batch_size'"):
        make_config("default", {"batchsize": "3"})


def test_all_problems_are_reported_together():
    with pytest.raises(ConfigInvalid) as caught:
        make_config("default", {"lr": "fast", "sizee": 3, "head": "big"})
    assert all(word in str(caught.value) for word in ("lr=fast", "sizee", "head=big"))


@pytest.mark.parametrize(
    "values", [{"tau": 1.5}, {"batch_size": 0}, {"size": 8}, {"lr": "nan"}, {"seed": "1.5"}, {"ema_decay": 0}]
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(ConfigInvalid):
        make_config("default", values)


def test_overrides_from_the_command_line_and_from_a_file(tmp_path):
    assert parse_overrides(["a=1", "b = x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(ConfigInvalid, match="KEY=VALUE"):
        parse_overrides(["size"])
    file = tmp_path / "run.toml"
    file.write_text("size = 64\ncam = false\n")
    assert make_config("default", read_overrides(file)).size == 64
    file.write_text("[model]\nsize = 64\n")
    with pytest.raises(ConfigInvalid, match="top-level"):
        read_overrides(file)
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        read_overrides(tmp_path / "none.toml")
