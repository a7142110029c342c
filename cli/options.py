"""Options that several commands share, and the values that they take."""

from pathlib import Path
from typing import Annotated

import typer

from cli.help.completion import run_names, setting_pairs

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done without doing it.")]
ChangeTest = Annotated[bool, typer.Option("--change-test", help="Allow changes to the labels of test images.")]
AskClass = Annotated[
    bool, typer.Option("--ask-class", help="Ask for the class on every new task, not only where it is not known.")
]

Images = Annotated[
    list[str],
    typer.Argument(metavar="IMAGE", help="Images: number, path or URI, or the end of the path."),
]


Run = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="R",
        help="Run to use, such as run-1 (default: the newest finished one).",
        autocompletion=run_names,
    ),
]


Devices = Annotated[
    int | None,
    typer.Option(metavar="N", help="Number of processes on this machine, one per GPU if there are GPUs (default: 1)."),
]
Nodes = Annotated[
    int, typer.Option(metavar="M", help="Number of machines that share the work; run the same command on each.")
]


Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="auto|imagenet|none|FILE",
        help="Initial weights. auto: ImageNet's where they can be had, else none; FILE: of the encoder (safetensors), "
        "or a run to go on from, such as run-3 (default: auto).",
    ),
]
Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a setting of the training; list them with: partly settings (repeatable).",
        autocompletion=setting_pairs,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="TOML file with settings, one KEY = VALUE a line; --set counts before it."
    ),
]
Tau = Annotated[
    str | None,
    typer.Option(
        "--tau",
        metavar="0.8|auto",
        help="Minimum score of a proposal, 0 to 1 (default: as the run was trained); auto: certified on validation "
        "boxes.",
    ),
]
QueryShares = Annotated[
    str | None,
    typer.Option(
        metavar="C/D/A",
        help="Shares of a query: sure proposals to confirm, images to draw, random audit (default: 0.6/0.3/0.1).",
    ),
]
AuditShare = Annotated[
    float,
    typer.Option(
        metavar="F",
        help="Fill this share of new tasks, 0 to 1, with random validation images without a proposal, for --tau auto.",
    ),
]
Precision = Annotated[
    float | None,
    typer.Option(
        "--precision",
        metavar="P",
        help="With --tau auto: share of the proposals that must be right, between 0 and 1 (default: 0.85).",
    ),
]
Confidence = Annotated[
    float | None,
    typer.Option(
        "--confidence",
        metavar="C",
        help="With --tau auto: chance that this holds, between 0 and 1 (default: 0.8).",
    ),
]
