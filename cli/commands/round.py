"""round: the whole loop in one command. rounds, plan: what each has done, and what further ones would bring."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.command import command
from cli.commands.propose import BUDGET
from cli.context import Workspace
from cli.documents import document_of
from cli.options import (
    AskClass,
    AuditShare,
    Confidence,
    ConfigFile,
    DryRun,
    Pairs,
    Precision,
    QueryShares,
    Tau,
    Weights,
)
from cli.output import Table
from learner.config import Gate, Preset

if TYPE_CHECKING:
    from annotator.label_studio.pull.plan import PullReport
    from annotator.label_studio.push.push_images import PushReport
    from cli.workflows.round import RoundResult
    from learner.inference.propose import ProposeRequest, ProposeResult
    from learner.query.query_images import QueryRequest, QueryResult

WarmOrFresh = Annotated[
    bool | None,
    typer.Option(
        "--warm/--fresh",
        help="Start from the previous round's network, or from --weights (default: from that network, unless labels "
        "it learned from have changed or --weights is given).",
    ),
]
PROPOSED = ("tau", "gate", "considered", "proposed", "calibration")
QUERIED = ("query", "strategy", "run", "tau", "considered", "parts")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "round")(one_round)
    command(app, "rounds")(rounds)
    command(app, "plan")(plan)


def one_round(
    work: Workspace,
    preset: Annotated[Preset, typer.Option(help="Preset that the settings are based on.")] = "default",
    weights: Weights = None,
    settings: Pairs = None,
    config: ConfigFile = None,
    tau: Tau = None,
    precision: Precision = None,
    confidence: Confidence = None,
    gate: Annotated[Gate | None, typer.Option(help="Score compared with tau (default: as in the settings).")] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Maximum number of proposals, highest score first; with --strategy, number of images to ask about "
            "(default: 50).",
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="S",
            help="Make a query with this strategy, and push its images: proposals to confirm, images to draw on, and "
            "an audit; see partly query.",
        ),
    ] = None,
    query_shares: QueryShares = None,
    warm: WarmOrFresh = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Maximum number of new tasks (default: all).")] = None,
    audit_share: AuditShare = 0.1,
    ask_class: AskClass = False,
    resolve: Annotated[
        str, typer.Option(metavar="POLICY", help="How to resolve several reviews of an image; see partly pull.")
    ] = "latest",
    dry_run: DryRun = False,
) -> None:
    """Pull, train, propose and push. Repeat the command to resume an interrupted round.

    With --strategy, rounds ask about the images of a query, starting with the first round: no location needs to be
    known.
    """
    from annotator.label_studio.pull.plan import PullRequest
    from annotator.label_studio.push.plan import PushRequest
    from learner.inference.gate import parse_promise, parse_tau

    wanted = parse_tau(tau)
    promise = parse_promise(wanted, precision, confidence)
    configured = work.training_config(preset, config, settings, weights)
    _check(work, strategy)
    # All that can be wrong with what was typed is known by now; this loads torch.
    from cli.workflows.round import RoundRequest, plan_round, run_round
    from learner.inference.propose import ProposeRequest

    propose = ProposeRequest(tau=wanted, gate=gate, budget=budget if strategy is None else None, promise=promise)
    query = _query(strategy, budget, query_shares, propose)
    request = RoundRequest(
        config=configured,
        pull=PullRequest(policy=resolve, empty_is_none=work.settings.empty_is_none, author=work.user),
        propose=propose,
        query=query,
        warm=warm,
        push=PushRequest(
            # A query has an audit of its own.
            limit=limit,
            audit_share=audit_share if query is None else 0.0,
            ask_class=ask_class,
            file_names=work.settings.file_names,
        ),
    )
    with work.connected_client() as client:
        if dry_run:
            # What the model proposes, and is then pushed, is known once it is trained.
            plan = plan_round(work.registry, client, request, progress=work.progress)
            document = _document(plan.pulled, plan.would_train, None) | {"dry_run": True}
        else:
            folder = work.media_folder(client.url)
            result = run_round(work.registry, client, request, media_folder=folder, progress=work.progress)
            document = _document(result.pulled, result.trained, result) | {"dry_run": False}
        url = client.url
    work.output.document(document, (("step", "did"), [(step, _words(value)) for step, value in document.items()]))
    if not dry_run:
        with work.registry.read() as tx:
            work.output.line(str(work.review_page(url, tx.connections.current().project_id)))


def _check(work: Workspace, strategy: str | None) -> None:
    """Refuse a strategy that there is none of, an unconnected project, a server that is down, a wrong token."""
    if strategy is not None:
        work.check_query(strategy)
    with work.connected_client() as client:
        client.whoami()


def _query(
    strategy: str | None, budget: int | None, shares: str | None, propose: "ProposeRequest"
) -> "QueryRequest | None":
    """Put together what a round asks about; None where it sends proposals alone."""
    from db.errors import InvalidArgument
    from learner.query.batch import Shares
    from learner.query.query_images import QueryRequest
    from learner.query.strategies import find_strategy

    if strategy is None:
        if shares is not None:
            raise InvalidArgument("--query-shares applies to a query; add --strategy, such as --strategy disagreement")
        return None
    find_strategy(strategy)
    return QueryRequest(strategy, BUDGET if budget is None else budget, Shares.parse(shares), propose)


def rounds(work: Workspace) -> None:
    """List the rounds so far, and what each achieved.

    Shows what was known, trained and asked in each, how long its reviews took, and its scores on validation images.
    """
    from learner.query.rounds import list_rounds

    found = list_rounds(work.registry)
    rows = [
        (
            item.round,
            item.begun,
            item.run,
            item.located,
            item.reviews,
            item.minutes,
            item.iou,
            item.ap50_all,
            item.auc,
            item.tau,
            item.strategy,
            f"{item.answered} of {sum(item.asked.values())}" if item.query is not None else None,
        )
        for item in found
    ]
    columns = ("round", "begun", "run", "located", "reviews", "minutes", "IoU", "AP50", "AUC", "tau", "query")
    work.output.document({"rounds": [document_of(item) for item in found]}, ((*columns, "answered"), rows))
    if not found:
        work.output.line("there are no rounds yet; to start the first one: partly round --strategy typical --budget 50")


def plan(
    work: Workspace,
    boxes: Annotated[int, typer.Option(metavar="N", help="Number of further locations to consider.")] = 50,
    target_iou: Annotated[
        float | None,
        typer.Option(metavar="IOU", help="Show how many locations it takes to reach this box IoU, 0 to 1."),
    ] = None,
) -> None:
    """Estimate the gain from further locations.

    Based on the learning curve of the rounds so far, on validation images.
    """
    from learner.query.rounds import check_rounds

    check_rounds(work.registry)
    from learner.query.plan_rounds import plan_rounds

    found = plan_rounds(work.registry, boxes=boxes, target_iou=target_iou, progress=work.progress)
    tables: list[Table] = [
        (
            ("round", "run", "locations", "IoU", "from", "to"),
            [(item.round, item.run, item.located, item.iou, item.low, item.high) for item in found.points],
        )
    ]
    if found.next is not None:
        to_come = found.next
        tables.append(
            (
                ("more boxes", "gain", "from", "to", "expected IoU", "minutes"),
                [
                    (to_come.boxes, to_come.gain, to_come.gain_low, to_come.gain_high, to_come.iou, to_come.minutes),
                ],
            )
        )
    if found.target is not None:
        target = found.target
        titles = ("target IoU", "locations", "more boxes", "minutes", "within reach in")
        tables.append((titles, [(target.iou, target.located, target.boxes, target.minutes, target.reached)]))
    work.output.document(found, *tables)
    work.output.line(f"on {found.images} validation images: {found.advice}")
    if found.target is not None and found.target.located is None:
        work.output.line(f"the curve does not reach an IoU of {found.target.iou:g}, however many boxes are added")


def _document(pulled: "PullReport", trained: bool, result: "RoundResult | None") -> dict[str, Any]:
    return {
        "pulled": _counts(pulled),
        "run": result.run if result is not None else None,
        "trained": trained,
        "proposed": _some(result.proposed if result is not None else None, PROPOSED),
        # Its images are listed by partly query.
        "queried": _some(result.queried if result is not None else None, QUERIED),
        "pushed": _counts(result.pushed) if result is not None else None,
    }


def _some(record: "ProposeResult | QueryResult | None", names: tuple[str, ...]) -> dict[str, Any] | None:
    return None if record is None else {name: document_of(getattr(record, name)) for name in names}


def _counts(report: "PullReport | PushReport") -> dict[str, Any]:
    """Return what a sync did; what it would do is for its own dry run."""
    return {name: value for name, value in document_of(report).items() if name != "plan"}


def _words(value: Any) -> object:
    if not isinstance(value, dict):
        return value
    counts = {name: len(item) if isinstance(item, list) else item for name, item in value.items()}
    told = [f"{name} {count}" for name, count in counts.items() if count and not isinstance(count, dict)]
    return ", ".join(told) or "nothing"
