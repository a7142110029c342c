"""Every setting of a training, explained: purpose, meaning, what it may be, and its value in both presets. No torch.

The meaning is the docstring under the field in `learner.config`, the type and the choices are the field's annotation.
"""

import ast
import inspect
import itertools
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from learner.config import ALIASES, MOST, PRESETS, SHARES, TrainConfig

GROUPS = MappingProxyType(
    {
        "Method and data": ("method", "images", "location_share"),
        "Network": (
            "encoder", "weights", "head", "head_channels", "cam", "sam", "mam", "presence", "presence_weight",
        ),
        "Images": ("size", "tiles", "framing", "normalize", "augmentation"),
        "Training length": ("stage1_epochs", "stage2_epochs", "min_steps", "checkpoint_minutes"),
        "Batches": ("batch_size", "accumulate", "batches", "located_share", "empty_share"),
        "Optimizer": ("optimizer", "lr", "encoder_lr_factor", "weight_decay", "schedule"),
        "Losses": ("box_target", "loss", "class_weights", "lambda", "alpha", "alpha_rampup"),
        "Pseudo masks": ("pseudo", "pseudo_gate", "ignore_low", "ignore_high", "ema_decay"),
        "Validation and choice of epoch": ("select", "val", "folds", "fold"),
        "Proposals": ("tau", "gate", "split_lesions", "tta"),
        "Machine": ("seed", "device", "amp", "compile", "track"),
    }
)  # fmt: skip
"""Settings by purpose, in the order in which they are shown."""
OTHER = "Other"

ABOVE_0 = "above 0"
RANGES = MappingProxyType(
    {
        **dict.fromkeys(SHARES, "0 to 1"),
        **{key: f"1 to {MOST[key]:,}" for key in ("batch_size", "accumulate", "head_channels", "stage2_epochs")},
        **{key: f"0 to {MOST[key]:,}" for key in ("stage1_epochs", "min_steps")},
        "size": f"0, or 32 to {MOST['size']:,} (pixels)",
        "tiles": f"1 or more (times size, at most {MOST['size']:,})",
        "folds": f"0, or 2 to {MOST['folds']:,}",
        "fold": "0 to folds - 1",
        "seed": "0 to 2^63 - 1",
        "lr": ABOVE_0,
        "encoder_lr_factor": ABOVE_0,
        "presence_weight": ABOVE_0,
        "ema_decay": "0 to below 1",
        "val": "above 0, below 1",
        "checkpoint_minutes": "0 or more (minutes)",
    }
)
"""What numbers are allowed, as `learner.config` checks it."""


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """One training setting."""

    key: str
    """As it is typed after --set."""
    group: str
    meaning: str
    kind: str
    """`one of`, `on or off`, `whole number`, `number` or `text`."""
    choices: tuple[str, ...]
    """The words allowed, where it is one of several."""
    allowed: str
    """Choices or range, in words; empty if anything is allowed."""
    default: object
    paper: object


def setting_docs() -> dict[str, SettingDoc]:
    """Explain every setting, by its key, grouped by purpose."""
    texts, hints = _field_docs(TrainConfig), get_type_hints(TrainConfig)
    default, paper = PRESETS["default"].to_dict(), PRESETS["paper"].to_dict()
    groups = {key: group for group, keys in GROUPS.items() for key in keys}
    order = [*(key for key in groups if key in default), *(key for key in default if key not in groups)]
    found = {}
    for key in order:
        if key == "preset":
            continue
        field = ALIASES.get(key, key)
        kind, choices = _kind(hints[field])
        allowed = ", ".join(choices) if choices else RANGES.get(field, "")
        found[key] = SettingDoc(
            key, groups.get(key, OTHER), texts[field], kind, choices, allowed, default[key], paper[key]
        )
    return found


def setting_choices() -> dict[str, tuple[str, ...]]:
    """Return the words that each setting may be, for completion; none for numbers and free text."""
    hints = get_type_hints(TrainConfig)
    kinds = {key: _kind(hints[ALIASES.get(key, key)]) for key in PRESETS["default"].to_dict() if key != "preset"}
    return {key: choices for key, (_, choices) in kinds.items()} | {"epochs": ()}


def _kind(hint: Any) -> tuple[str, tuple[str, ...]]:
    if get_origin(hint) is Literal:
        return "one of", tuple(map(str, get_args(hint)))
    if hint is bool:
        return "on or off", ("on", "off")
    return {int: "whole number", float: "number", str: "text"}[hint], ()


def _field_docs(record: type) -> dict[str, str]:
    """Read the docstring under every field of a dataclass."""
    (body,) = ast.parse(inspect.getsource(record)).body
    found: dict[str, str] = {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for field, text in itertools.pairwise(statements):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return found
