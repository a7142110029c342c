"""bench: the paper's experiments on the registered data."""

from typing import Annotated, Any

import typer

from cli.command import command
from cli.context import Workspace
from cli.options import DryRun, Preset, Weights

STARS = ((0.001, " ***"), (0.01, " **"), (0.05, " *"))
"""What a p-value below each limit is marked with."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "bench")(bench)


def bench(
    work: Workspace,
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="table3-table10, fig6-fig11, overview, modules, shares.")
    ],
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Epochs of each stage.")] = None,
    size: Annotated[int | None, typer.Option(metavar="N", help="Side of the images, pixels.")] = None,
    seeds: Annotated[int, typer.Option(metavar="N", help="Trainings of every method, and of every fold.")] = 3,
    folds: Annotated[
        int, typer.Option(metavar="K", help="Train on K parts of the images outside test, each once for validation.")
    ] = 0,
    weights: Weights = None,
    preset: Annotated[Preset, typer.Option(help="Where the settings start from.")] = Preset.PAPER,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of every method; may be repeated.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Train and test every method of one of the paper's tables; done trainings are shared and never repeated."""
    from learner.bench.bench import Budget, run_table
    from learner.config import parse_overrides

    overrides: dict[str, Any] = dict(parse_overrides(settings or []))
    overrides |= {name: value for name, value in (("epochs", epochs), ("size", size)) if value is not None}
    if weights is not None:
        overrides["weights"] = weights
    budget = Budget(seeds=seeds, folds=folds, preset=preset.value, overrides=overrides)
    result = run_table(work.registry, table, budget, dry_run=dry_run, progress=work.progress)
    work.output.line(
        f"{result['title']}: {result['trainings']['done']} of {result['trainings']['total']} trainings done"
    )
    if dry_run:
        rows = [(row["method"], ", ".join(f"{k}={v}" for k, v in row["settings"].items())) for row in result["rows"]]
        work.output.document(result | {"dry_run": True}, (("method", "settings"), rows))
        return
    metrics = [key for key in result["rows"][0] if key not in ("method", "runs", "strata")]
    rows = [(row["method"], *(_cell(row[metric]) for metric in metrics)) for row in result["rows"]]
    work.output.document(result, (("method", *metrics), rows))
    work.output.line(f"figure: {result['figure']}")


def _cell(value: dict[str, Any]) -> str:
    """Write a mean with its interval over seeds, stars for p against the last row, the paper's number in brackets."""
    if value["mean"] is None:
        return "-"
    text = f"{value['mean']:.3f}" + (f" ± {value['ci95']:.3f}" if value["ci95"] is not None else "")
    text += next((stars for limit, stars in STARS if (value.get("p") or 1.0) < limit), "")
    return text + (f" [{value['paper']:.3f}]" if value["paper"] is not None else "")
