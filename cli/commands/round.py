"""round: the whole loop in one command."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.command import command
from cli.context import Workspace
from cli.documents import document_of
from cli.options import AskClass, AuditShare, Confidence, ConfigFile, DryRun, Pairs, Precision, Tau, Weights
from learner.config import Gate, Preset

if TYPE_CHECKING:
    from annotator.label_studio.pull.plan import PullReport
    from annotator.label_studio.push.push_images import PushReport

PROPOSED = ("tau", "gate", "considered", "proposed", "calibration")


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    command(app, "round")(one_round)


def one_round(
    work: Workspace,
    preset: Annotated[Preset, typer.Option(help="Preset that the settings start from.")] = "default",
    weights: Weights = None,
    settings: Pairs = None,
    config: ConfigFile = None,
    tau: Tau = None,
    precision: Precision = None,
    confidence: Confidence = None,
    gate: Annotated[Gate | None, typer.Option(help="Score that is compared with tau.")] = None,
    budget: Annotated[
        int | None, typer.Option(metavar="N", help="Maximum number of proposals, highest score first.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Maximum number of new tasks.")] = None,
    audit_share: AuditShare = 0.1,
    ask_class: AskClass = False,
    resolve: Annotated[
        str, typer.Option(metavar="POLICY", help="How to resolve several reviews of an image; see partly pull.")
    ] = "latest",
    dry_run: DryRun = False,
) -> None:
    """Pull, train, propose and push. Repeat the command to resume an interrupted round."""
    from annotator.label_studio.pull.plan import PullRequest
    from annotator.label_studio.push.plan import PushRequest
    from cli.workflows.round import RoundRequest, plan_round, run_round
    from learner.inference.gate import parse_promise, parse_tau
    from learner.inference.propose import ProposeRequest

    wanted = parse_tau(tau)
    promise = parse_promise(wanted, precision, confidence)
    request = RoundRequest(
        config=work.training_config(preset, config, settings, weights),
        pull=PullRequest(policy=resolve, empty_is_none=work.settings.empty_is_none, author=work.user),
        propose=ProposeRequest(tau=wanted, gate=gate, budget=budget, promise=promise),
        push=PushRequest(
            limit=limit, audit_share=audit_share, ask_class=ask_class, file_names=work.settings.file_names
        ),
    )
    with work.connected_client() as client:
        if dry_run:
            plan = plan_round(work.registry, client, request, progress=work.progress)
            # What the model proposes, and is then pushed, is known once it is trained.
            document: dict[str, Any] = {
                "pulled": _counts(plan.pulled),
                "run": None,
                "trained": plan.would_train,
                "proposed": None,
                "pushed": None,
                "dry_run": True,
            }
        else:
            folder = work.media_folder(client.url)
            result = run_round(work.registry, client, request, media_folder=folder, progress=work.progress)
            document = {
                "pulled": _counts(result.pulled),
                "run": result.run,
                "trained": result.trained,
                "proposed": {name: document_of(getattr(result.proposed, name)) for name in PROPOSED},
                "pushed": _counts(result.pushed),
                "dry_run": False,
            }
        url = client.url
    work.output.document(document, (("step", "did"), [(step, _words(value)) for step, value in document.items()]))
    if not dry_run:
        with work.registry.read() as tx:
            work.output.line(str(work.review_page(url, tx.connections.current().project_id)))


def _counts(report: "PullReport | PushReport") -> dict[str, Any]:
    """Return what a sync did; what it would do is for its own dry run."""
    return {name: value for name, value in document_of(report).items() if name != "plan"}


def _words(value: Any) -> object:
    if not isinstance(value, dict):
        return value
    counts = {name: len(item) if isinstance(item, list) else item for name, item in value.items()}
    told = [f"{name} {count}" for name, count in counts.items() if count and not isinstance(count, dict)]
    return ", ".join(told) or "nothing"
