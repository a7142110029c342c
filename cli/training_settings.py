"""Settings of a training put together: preset, project, file, command line; and which of them each value comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.settings import PROJECT_FILE

if TYPE_CHECKING:
    from learner.config import TrainConfig

STAGES = ("stage1_epochs", "stage2_epochs")


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """A training's settings, and where they come from."""

    config: "TrainConfig"
    sources: Mapping[str, str]
    """Of each setting, by the name that people type: `preset default`, `partly.toml [train]`, `--config FILE`..."""

    def differing(self, used: "TrainConfig | None" = None, *, resumed: str | None = None) -> list[dict[str, Any]]:
        """List the settings whose value is not the preset's.

        Args:
            used: what they came to, where some were left to be chosen; None: the same.
            resumed: the run that goes on with the settings that it began with.

        Returns:
            For each its name (`setting`), its `value` and its `source`.
        """
        from learner.config import PRESETS

        used = used or self.config
        usual, asked = PRESETS[used.preset].to_dict(), self.config.to_dict()
        listed = []
        for key, value in used.to_dict().items():
            source = self.sources.get(key, "") if value == asked[key] else "chosen for these images"
            if value != usual[key]:
                listed.append({"setting": key, "value": value, "source": resumed or source})
        return listed


def training_settings(
    preset: str, project: Mapping[str, Any], file: Path | None, pairs: list[str] | None, weights: str | None
) -> TrainingSettings:
    """Put a training's settings together; what comes later in this list counts before what comes earlier.

    Args:
        preset: its name.
        project: `[train]` of partly.toml.
        file: what --config names.
        pairs: what stands after --set.
        weights: what stands after --weights.

    Raises:
        SettingUnknown: a setting that there is none of; ConfigInvalid: a value that is not allowed, or a bad file.
    """
    from learner.config import PRESETS, make_config, parse_overrides, read_overrides

    layers = [
        (f"{PROJECT_FILE} [train]", dict(project)),
        (f"--config {file}", read_overrides(file) if file is not None else {}),
        ("--set", dict(parse_overrides(pairs or []))),
        ("--weights", {} if weights is None else {"weights": weights}),
    ]
    overrides: dict[str, Any] = {}
    given: dict[str, str] = {}
    for source, values in layers:
        overrides |= values
        given |= dict.fromkeys(values, source)
    config = make_config(preset, overrides)
    sources = dict.fromkeys(PRESETS[preset].to_dict(), f"preset {preset}")
    counted = next((given[key] for key in (*STAGES, "epochs") if key in given), None)
    if counted is not None:
        sources["min_steps"] = f"{counted} (epochs are given)"
    if "epochs" in given:
        sources |= dict.fromkeys(STAGES, f"{given['epochs']} (epochs)")
    return TrainingSettings(config, sources | {key: source for key, source in given.items() if key != "epochs"})
