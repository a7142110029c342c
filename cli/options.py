"""Options that several commands share, and the values that they take."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
ChangeTest = Annotated[
    bool, typer.Option("--change-test", help="Allow changes of what is known of images in the test split.")
]


Run = Annotated[str | None, typer.Option("--run", metavar="R", help="A run such as run-1; by default the newest.")]


Devices = Annotated[
    int | None, typer.Option(metavar="N", help="Processes on this machine, one a GPU where there are GPUs.")
]
Nodes = Annotated[int, typer.Option(metavar="M", help="Machines that share the work; each runs the same command.")]


class Preset(StrEnum):
    """Starting points of a configuration."""

    DEFAULT = "default"
    PAPER = "paper"


class ScoredSplit(StrEnum):
    """Splits that can be scored."""

    TEST = "test"
    VAL = "val"


class Target(StrEnum):
    """What Grad-CAM can be asked about."""

    CLASS = "class"
    LESION = "lesion"


Weights = Annotated[
    str | None, typer.Option("--weights", metavar="imagenet|none|FILE", help="Encoder weights to start from.")
]
Pairs = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting; may be repeated.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="A TOML file of settings.")]
Tau = Annotated[
    str | None,
    typer.Option("--tau", metavar="0.8|auto", help="The score must be above it; auto: certified on validation."),
]


class Gate(StrEnum):
    """What proposals are gated by."""

    CLASS = "class"
    AGREEMENT = "agreement"
