"""Options that several commands share, and the values that they take."""

from pathlib import Path
from typing import Annotated

import typer

from cli.help.completion import run_names, setting_pairs

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done without doing it.")]
ChangeTest = Annotated[bool, typer.Option("--change-test", help="Allow changes to the labels of test images.")]
AskClass = Annotated[
    bool, typer.Option("--ask-class", help="Ask for the class in every new task, not only where it is unknown.")
]

Images = Annotated[
    list[str],
    typer.Argument(metavar="IMAGE", help="Images: number, path, URI, or end of the path."),
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
        help="Initial weights. auto: ImageNet's if available, else none; FILE: the encoder's (safetensors), or a run "
        "to start from, such as run-3 (default: auto).",
    ),
]
Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a training setting; list them with: partly settings (repeatable).",
        autocompletion=setting_pairs,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="TOML file of settings, one KEY = VALUE per line; --set takes precedence."
    ),
]
Tau = Annotated[
    str | None,
    typer.Option(
        "--tau",
        metavar="0.8|auto",
        help="Minimum score of a proposal, 0 to 1 (default: the run's tau); auto: certified on validation boxes.",
    ),
]
QueryShares = Annotated[
    str | None,
    typer.Option(
        metavar="C/D/A",
        help="Shares of a query: confident proposals to confirm, images to draw on, random audit (default: "
        "0.6/0.3/0.1).",
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
        help="With --tau auto: share of proposals that must be correct, between 0 and 1 (default: 0.85).",
    ),
]
Confidence = Annotated[
    float | None,
    typer.Option(
        "--confidence",
        metavar="C",
        help="With --tau auto: confidence that --precision holds, between 0 and 1 (default: 0.8).",
    ),
]
