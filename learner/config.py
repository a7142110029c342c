"""Everything that decides what a training does, as one frozen value, and the two presets. Imports no torch.

`paper` follows Fan et al. 2023 to the letter, as far as its text goes. `default` keeps the method and replaces what is
known to hold it back: the mask's resolution, the loss, the source of pseudo labels and the framing.
"""

import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_type_hints

from learner.errors import ConfigInvalid, SettingUnknown
from learner.input_range import parse_statistics
from learner.setting_values import coerce

Method = Literal["lanet", "classifier", "unet", "deeplabv3", "rmtl", "agn"]
Gate = Literal["agreement", "class"]
Preset = Literal["default", "paper"]
ScoredSplit = Literal["test", "val"]
"""Splits that a run can be scored on."""
ExplainTarget = Literal["class", "lesion"]
"""Outputs that Grad-CAM can explain."""

BEFORE = MappingProxyType({"presence": False, "split_lesions": "off"})
"""What stored configurations meant before they had these settings."""
RENAMED = MappingProxyType({"head": MappingProxyType({"default": "fpn"})})
"""Values that stored configurations may still hold under an earlier name."""
ALIASES = MappingProxyType({"lambda": "lambda_"})
"""Names that people type, for fields whose name Python reserves."""


SHARES = (
    "lambda_", "alpha", "alpha_rampup", "tau", "located_share", "location_share", "ignore_low", "ignore_high",
    "empty_share",
)  # fmt: skip
"""Settings that lie from 0 to 1."""


ENCODER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""Settings come from checkpoints and files too, and what timm is asked for with a scheme it would go and fetch."""
MOST = MappingProxyType(
    {
        **{"size": 8192, "head_channels": 4096, "batch_size": 65_536, "accumulate": 65_536, "folds": 1000},
        **{"stage1_epochs": 1_000_000, "stage2_epochs": 1_000_000, "min_steps": 1_000_000_000},
    }
)
"""Beyond any machine; settings that come with a file could ask for all memory there is."""
LONGEST_FILE = 2**20
"""Bytes of a file with settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of one training; every field is a key of `--set`."""

    preset: str = "default"
    """The preset that the settings started from."""
    method: Method = "lanet"
    """lanet: the joint network; the others are the paper's comparison methods."""
    images: Literal["all", "located"] = "all"
    """Images used in the second stage: all, or (without s-SSL) those with a known location."""
    location_share: float = 1.0
    """Share of the known locations that training and the choice of epoch may use, by class, 0 to 1."""
    encoder: str = "tf_efficientnet_lite0"
    """Any timm encoder that can return features (`features_only`), by its timm name. The ImageNet weights of the
    default come with `partly[weights]`."""
    weights: str = "auto"
    """Initial weights: auto (imagenet if they are installed or can be downloaded, else none), imagenet, none, a
    safetensors file for the encoder, or a run to start from (run-3)."""
    size: int = 0
    """Side of the square that images are framed into, in pixels; 0: the smallest of 256, 384 and 512 (on CPUs also 128,
    160 and 192) in which 19 of 20 known boxes are at least 8 px wide and high."""
    tiles: int = 1
    """For small lesions in large images: the square's side is this many times `size`. The network is trained on the
    whole square, reduced to `size`, and on parts at full resolution, and scores the whole and every part; 1: only the
    whole."""
    framing: Literal["letterbox", "resize"] = "letterbox"
    """letterbox keeps the aspect ratio and pads; resize distorts (paper)."""
    normalize: str = "auto"
    """Input range: auto (mean and standard deviation that the encoder's weights were trained with; ImageNet's without
    weights), imagenet, unit (0 to 1, paper), or MEAN/STD of red, green and blue (0.5,0.5,0.5/0.5,0.5,0.5)."""
    head: Literal["unet", "fpn", "paper"] = "unet"
    """unet: U-Net's decoder over the attended levels, with a mask at stride 2; fpn: a feature pyramid over them at
    stride 4, which takes three quarters of the time but finds less; paper: S_n x S_n."""
    head_channels: int = 64
    """Width of fpn's levels; unet's coarsest block is twice as wide."""
    cam: bool = True
    """Channel attention in CBAM."""
    sam: bool = True
    """Spatial attention in CBAM."""
    mam: bool = True
    """Mask attention before the classifier (Eq. 4)."""
    presence: bool = True
    """Judge with a separate output whether there is any finding; without it, any box counts as one."""
    presence_weight: float = 0.5
    """Weight of the loss on the `presence` output."""
    stage1_epochs: int = 25
    """Epochs of the first stage: encoder and LA-Net, images with a known location only."""
    stage2_epochs: int = 30
    """Epochs of the second stage: everything, all images."""
    min_steps: int = 600
    """Minimum number of steps per stage, with longer epochs if there are few images; 0 if epochs are given."""
    batch_size: int = 16
    """Images per step."""
    accumulate: int = 1
    """Gradient accumulation: number of parts that a batch is processed in, if it does not fit into memory at once."""
    batches: Literal["streams", "two_stream", "plain"] = "streams"
    """streams: a fixed share of each batch has a known location, and few of those are empty; two_stream: the same,
    however many of them are empty; plain: shuffled only (paper)."""
    located_share: float = 0.5
    """With streams and two_stream: share of each batch that has a known location, 0 to 1."""
    empty_share: float = 0.25
    """With streams: maximum share of those that are known to be empty, 0 to 1."""
    optimizer: Literal["adamw", "adam"] = "adamw"
    """Adam as in the paper, or AdamW."""
    lr: float = 2e-3
    """Learning rate."""
    encoder_lr_factor: float = 1.0
    """Factor on `lr` for an encoder that starts from weights."""
    weight_decay: float = 0.01
    """Decoupled weight decay; no effect with Adam."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Learning-rate schedule of a stage; cosine has a warm-up of 5%."""
    augmentation: Literal["ultrasound", "paper"] = "ultrasound"
    """paper: quarter turns, flips, colour jitter; ultrasound: mirroring, small affine changes, gain and contrast."""
    box_target: Literal["ellipse", "rectangle"] = "ellipse"
    """Shape of the training target for a box without a mask."""
    loss: Literal["bce_dice", "bce"] = "bce_dice"
    """Localization loss: two-sided cross-entropy, alone (paper) or with soft Dice."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: every class has the same weight in the class loss, however many images it has."""
    lambda_: float = 0.5
    """Weight of the class loss relative to the localization loss (Eq. 7), 0 to 1."""
    alpha: float = 0.5
    """Weight of the loss on pseudo masks (Eq. 7), 0 to 1."""
    alpha_rampup: float = 0.2
    """Share of stage 2 over which alpha grows from 0."""
    pseudo: Literal["teacher", "self", "none"] = "teacher"
    """Pseudo masks from an EMA teacher on a weak view, from the network itself (paper), or none (no s-SSL)."""
    pseudo_gate: Literal["none", "class"] = "none"
    """Which images get a pseudo mask: all, or those whose class probability is above tau (Eq. 7)."""
    ignore_low: float = 0.3
    """Teacher pixels above this and below `ignore_high` are ignored."""
    ignore_high: float = 0.7
    """See `ignore_low`; both .5: no ignore band."""
    ema_decay: float = 0.99
    """Decay per step of the teacher's weights, which are also the weights that are kept; 0: no averaging."""
    select: Literal["last", "dice_auc", "accuracy"] = "last"
    """Epoch to keep: the last one, or the best one on half of the validation split, by mask Dice and AUC together or by
    accuracy (paper)."""
    tau: float = 0.8
    """Minimum confidence of a pseudo mask or a proposal, 0 to 1."""
    gate: Gate = "agreement"
    """Score that gates proposals: agreement of views times class probability, or class probability alone (paper)."""
    split_lesions: Literal["auto", "on", "off"] = "auto"
    """Split touching parts of a mask into separate boxes; auto: on if at least one in twenty known locations has
    several boxes."""
    tta: bool = True
    """Average four views (original, mirrored, two gains) when scoring; their agreement is the proposals' score."""
    val: float = 0.15
    """Share put into validation if the registry has no validation split yet."""
    folds: int = 0
    """Cross-validation folds over all images outside test, by group; 0: use the registry's validation split."""
    fold: int = 0
    """Fold to use as the validation set, counted from 0."""
    seed: int = 0
    """Random seed."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    amp: Literal["auto", "on", "off"] = "auto"
    """Mixed precision (bfloat16); auto: on GPUs."""

    checkpoint_minutes: float = 10.0
    """Minutes between saves within a long epoch, for `--resume`; 0: save only after whole epochs."""
    track: Literal["none", "tensorboard", "mlflow"] = "none"
    """Experiment tracker: TensorBoard (files beside the run) or MLflow."""
    compile: bool = False
    """Compile the network (torch.compile): slow to start, faster afterwards, mostly on GPUs."""

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ConfigInvalid("; ".join(problems))

    def _problems(self) -> Iterable[str]:
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                yield f"{_typed(name)} must be between 0 and 1, got {getattr(self, name)}"
        try:
            parse_statistics(self.normalize)
        except ValueError as exc:
            yield f"normalize={self.normalize}: {exc}"
        if not ENCODER_NAME.fullmatch(self.encoder):
            yield (
                f"encoder={self.encoder[:80]!r} is not the name of a timm encoder, such as resnet18; one from "
                "elsewhere (hf-hub:, local-dir:) is not fetched: give its weights as a file, --weights FILE.safetensors"
            )
        for name, most in MOST.items():
            if getattr(self, name) > most:
                yield f"{name} must be at most {most}, got {getattr(self, name)}"
        for name in ("batch_size", "head_channels", "stage2_epochs", "accumulate"):
            if getattr(self, name) < 1:
                yield f"{name} must be at least 1, got {getattr(self, name)}"
        if not 0 <= self.seed < 2**63:
            yield f"seed must be between 0 and 2^63, got {self.seed}"
        if self.size and self.size < 32:
            yield f"size must be at least 32 px, or 0 to choose it automatically, got {self.size}"
        if self.tiles < 1 or self.square_px > MOST["size"]:
            yield f"tiles must be at least 1, tiles x size at most {MOST['size']} px, got {self.tiles} x {self.size}"
        if self.tiles > 1 and not self.localizes:
            yield f"tiles={self.tiles} is for methods that localize, but method={self.method} does not"
        if self.folds and (self.folds < 2 or not 0 <= self.fold < self.folds):
            yield f"folds must be 0 or at least 2, and fold from 0 to folds - 1; got {self.folds} and {self.fold}"
        if self.stage1_epochs < 0:
            yield f"stage1_epochs must not be negative, got {self.stage1_epochs}"
        if self.min_steps < 0:
            yield f"min_steps must not be negative, got {self.min_steps}"
        if self.presence and not self.presence_weight > 0:
            yield f"presence_weight must be positive, got {self.presence_weight}; to turn it off: presence=false"
        if not self.lr > 0 or not self.encoder_lr_factor > 0:
            yield f"lr and encoder_lr_factor must be positive, got {self.lr} and {self.encoder_lr_factor}"
        if not 0 <= self.ema_decay < 1 or not 0 < self.val < 1:
            yield f"ema_decay and val must be between 0 and 1, got {self.ema_decay} and {self.val}"
        if not 0 <= self.checkpoint_minutes < math.inf:
            yield f"checkpoint_minutes must not be negative, got {self.checkpoint_minutes}"
        if self.ignore_low > self.ignore_high:
            yield f"ignore_low {self.ignore_low} is above ignore_high {self.ignore_high}"
        if self.pseudo == "teacher" and self.ema_decay == 0:
            yield "pseudo=teacher needs ema_decay above 0"

    @property
    def square_px(self) -> int:
        """Side of the square that images are framed into, pixels; 0 where it is to be chosen."""
        return self.tiles * self.size

    @property
    def localizes(self) -> bool:
        """Say whether the method answers where."""
        return self.method != "classifier"

    @property
    def classifies(self) -> bool:
        """Say whether the method answers what."""
        return self.method not in ("unet", "deeplabv3")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, under the names that people type."""
        return {_typed(key): value for key, value in dataclasses.asdict(self).items()}


def _typed(field: str) -> str:
    return next((typed for typed, name in ALIASES.items() if name == field), field)


PRESETS: MappingProxyType[str, TrainConfig] = MappingProxyType(
    {
        "default": TrainConfig(),
        "paper": TrainConfig(
            preset="paper",
            encoder="resnet18",
            size=256,
            framing="resize",
            normalize="unit",
            head="paper",
            presence=False,
            stage1_epochs=100,
            stage2_epochs=100,
            min_steps=0,
            batch_size=8,
            batches="plain",
            optimizer="adam",
            lr=1e-3,
            weight_decay=0.0,
            schedule="constant",
            augmentation="paper",
            box_target="rectangle",
            loss="bce",
            alpha=0.1,
            alpha_rampup=0.0,
            pseudo="self",
            pseudo_gate="class",
            ignore_low=0.5,
            ignore_high=0.5,
            ema_decay=0.0,
            select="accuracy",
            gate="class",
            split_lesions="off",
            tta=False,
        ),
    }
)


def make_config(preset: str = "default", overrides: Mapping[str, Any] | None = None) -> TrainConfig:
    """Build a configuration from a preset and overrides.

    Args:
        preset: `paper` or `default`.
        overrides: values by key, as text or already typed; `epochs` sets both stages.

    Raises:
        SettingUnknown: an unknown key; the nearest known one is named.
        ConfigInvalid: an unknown preset, or a value out of range.
    """
    if preset not in PRESETS:
        raise ConfigInvalid(f"unknown preset {preset!r}; expected one of: {', '.join(PRESETS)}")
    given = dict(overrides or {})
    if "epochs" in given:
        epochs = given.pop("epochs")
        given = {"stage1_epochs": epochs, "stage2_epochs": epochs} | given
    if {"stage1_epochs", "stage2_epochs"} & given.keys():
        # Whoever counts the epochs means what is typed.
        given = {"min_steps": 0} | given
    hints = get_type_hints(TrainConfig)
    known = [_typed(name) for name in hints if name != "preset"]
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in given.items():
        name = ALIASES.get(key, key)
        if key not in known:
            near = difflib.get_close_matches(key, [*known, "epochs"], n=1, cutoff=0.4)
            problems.append(f"unknown setting {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
            continue
        try:
            values[name] = coerce(hints[name], value)
        except ValueError as exc:
            problems.append(f"{key}={value}: {exc}")
    if problems:
        raise (SettingUnknown if given.keys() - set(known) else ConfigInvalid)("; ".join(problems))
    return dataclasses.replace(PRESETS[preset], **values)


REQUESTED = "requested"
"""Key beside a run's stored settings: those that were asked for and came to something else, such as weights=auto."""
STARTED_FROM = "started_from"
"""Key beside a run's stored settings: where the weights come from that it started from."""


def config_from_dict(values: Mapping[str, Any]) -> TrainConfig:
    """Rebuild a configuration from what `TrainConfig.to_dict` returned.

    Raises:
        ConfigInvalid: it holds settings that this program does not know.
    """
    stored = {key: value for key, value in values.items() if key not in ("preset", REQUESTED, STARTED_FROM)}
    for key, names in RENAMED.items():
        if isinstance(value := stored.get(key), str):
            stored[key] = names.get(value, value)
    return make_config(str(values.get("preset", "default")), BEFORE | stored)


def parse_overrides(pairs: Iterable[str]) -> dict[str, str]:
    """Parse `KEY=VALUE` arguments.

    Raises:
        ConfigInvalid: one has no `=`.
    """
    parsed: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise ConfigInvalid(f"--set expects KEY=VALUE, got {pair!r}")
        parsed[key.strip()] = value.strip()
    return parsed


def read_overrides(path: Path) -> dict[str, Any]:
    """Read overrides from a TOML file of flat keys.

    Raises:
        ConfigInvalid: it cannot be read, or is not flat TOML.
    """
    try:
        if path.stat().st_size > LONGEST_FILE:
            raise ConfigInvalid(f"{path}: too large for a settings file ({path.stat().st_size} bytes)")
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as exc:
        raise ConfigInvalid(f"{path}: cannot be read as TOML ({exc})") from exc
    nested = [key for key, value in values.items() if isinstance(value, dict | list)]
    if nested:
        raise ConfigInvalid(f"{path}: settings must be top-level KEY = VALUE pairs; found tables: {', '.join(nested)}")
    return values
