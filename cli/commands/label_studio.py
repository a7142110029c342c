"""studio, connect, open, push, pull: where people come in."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.command import command
from cli.commands.propose import make_query
from cli.context import Workspace
from cli.documents import document_of
from cli.help.pages import PlainGroup
from cli.options import AskClass, AuditShare, ChangeTest, DryRun, QueryShares
from cli.output import Table
from db.plain_text import counted

if TYPE_CHECKING:
    from annotator.label_studio.client import LabelStudioClient
    from annotator.label_studio.pull.plan import PullReport
    from annotator.label_studio.push.plan import PushRequest
    from annotator.label_studio.push.push_images import PushReport
    from db.progress import Progress


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    studio = typer.Typer(
        name="studio", cls=PlainGroup, help="Run a local Label Studio in its own environment.", no_args_is_help=True
    )
    command(studio, "start")(start)
    command(studio, "stop")(stop)
    command(studio, "status")(show)
    app.add_typer(studio)
    command(app, "connect")(connect)
    command(app, "open")(open_)
    command(app, "push")(push)
    command(app, "pull")(pull)


def start(
    work: Workspace,
    port: Annotated[
        int | None, typer.Option(help="Port (default: the last one used, or the first free one from 8080).")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Start a local Label Studio, installing it the first time.

    It listens on 127.0.0.1 only, and needs no project.
    """
    from annotator.label_studio.local_server import plan_start, start_studio

    if dry_run:
        status = plan_start(work.studio, port=port)
    else:
        status = start_studio(work.studio, port=port, progress=work.progress)
    _print_studio(work, status)
    if status.url is not None and not dry_run:
        work.output.line(f"log in at {status.url} as {status.username}; the password is in {work.studio.account_file}")
    work.output.line("next: partly connect" + (f" {status.url}" if status.url else ""))


def stop(work: Workspace, dry_run: DryRun = False) -> None:
    """Stop the local Label Studio. Its data is kept."""
    from annotator.label_studio.local_server import stop_studio

    stopped = stop_studio(work.studio, dry_run=dry_run)
    work.output.document({"stopped": stopped, "dry_run": dry_run})
    would = "would be " if dry_run else ""
    work.output.line(f"{would}stopped" if stopped else "Label Studio was not running")


def show(work: Workspace) -> None:
    """Show whether the local Label Studio is running, and where."""
    from annotator.label_studio.local_server import studio_status

    _print_studio(work, studio_status(work.studio))


def _print_studio(work: Workspace, status: Any) -> None:
    document = document_of(status) | {
        "account_file": str(work.studio.account_file),
        "log": str(work.studio.log),
    }
    work.output.document(document, (("", ""), list(document.items())))


def connect(
    work: Workspace,
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL", envvar="PARTLY_LABEL_STUDIO_URL", help="Address of the server (default: the local one)."
        ),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option(help="Project to find or create (default: the one connected last, else as in partly.toml)."),
    ] = None,
    project_id: Annotated[int | None, typer.Option(help="Use the existing project with this ID.")] = None,
    masks: Annotated[bool, typer.Option("--masks", help="Add brush and polygon tools for masks.")] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take over the project from another registry, which this one replaces.")
    ] = False,
    show_score: Annotated[
        bool | None,
        typer.Option(
            "--show-score/--hide-score",
            help="Show a proposal's score in the header (default: hidden, since it biases people).",
        ),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Connect to a Label Studio project, creating it if needed.

    Checks the server and the token first. The token comes from PARTLY_LABEL_STUDIO_TOKEN, the keyring or a prompt.
    """
    with work.client(url or work.local_url(), is_typed=url is not None) as client:
        found = work.connect(
            client,
            title=title,
            project_id=project_id,
            masks=masks,
            adopt=adopt,
            show_score=show_score,
            dry_run=dry_run,
        )
        document = {
            "url": client.url,
            "user": found.user,
            "project": found.project.id if found.project else None,
            "title": found.project.title if found.project else title or work.settings.title,
            "media": found.media,
            "address": f"{client.url}/projects/{found.project.id}" if found.project else None,
            "adopted": found.adopted,
            "dry_run": dry_run,
        }
    work.output.document(document, (("", ""), list(document.items())))
    work.say_next(dry_run=dry_run)


def open_(
    work: Workspace,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser, or only print its address.")
    ] = True,
) -> None:
    """Open the Label Studio project, and show how to log in."""
    import webbrowser

    with work.registry.read() as tx:
        connection = tx.connections.current()
    work.check_running(connection.url)
    page = work.review_page(connection.url, connection.project_id)
    # A terminal without a screen has none to open it in.
    opened = browser and not work.output.as_json and webbrowser.open(page.address)
    where = {"url": connection.url, "project": connection.project_id}
    work.output.document(where | document_of(page) | {"opened": opened})
    work.output.line(str(page))


def push(
    work: Workspace,
    proposals: Annotated[
        bool, typer.Option("--proposals", help="Push images with a pending proposal (default).")
    ] = False,
    query: Annotated[bool, typer.Option("--query", help="Push the images of the newest query.")] = False,
    strategy: Annotated[
        str | None, typer.Option(metavar="S", help="Make a query with this strategy first, and push its images.")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(metavar="N", help="Make a query for this number of images first, and push them.")
    ] = None,
    query_shares: QueryShares = None,
    partly: Annotated[bool, typer.Option("--partly", help="Push all images whose location is unknown.")] = False,
    all_images: Annotated[bool, typer.Option("--all", help="Push all images outside the test split.")] = False,
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="Maximum number of new tasks, highest score first (default: all).")
    ] = None,
    control_share: Annotated[
        float,
        typer.Option(
            metavar="F",
            help="Send this share of new tasks, 0 to 1, without their proposal, to measure its influence on reviewers.",
        ),
    ] = 0.0,
    second_share: Annotated[
        float, typer.Option(metavar="F", help="Ask for two annotators on this share of new tasks, 0 to 1.")
    ] = 0.0,
    catch_share: Annotated[
        float,
        typer.Option(
            metavar="F",
            help="Add attention checks (proposals known to be wrong), as a share of the tasks with a proposal.",
        ),
    ] = 0.0,
    audit_share: AuditShare = 0.0,
    known: Annotated[bool, typer.Option("--known", help="Include known locations, to be corrected.")] = False,
    ask_class: AskClass = False,
    outlines: Annotated[
        bool, typer.Option("--outlines", help="Send masks as polygons instead of brush strokes.")
    ] = False,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Recreate tasks that were deleted in Label Studio.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Send images to Label Studio, with their proposals.

    Creates a task per image, with the pending proposal as a prediction; safe to repeat. Validation images are sent
    without a proposal and in random order, so that their reviews can certify proposals.
    """
    from annotator.label_studio.push.plan import PushRequest
    from db.errors import InvalidArgument

    asks = query or strategy is not None or budget is not None
    if proposals + partly + all_images + asks > 1:
        raise InvalidArgument("choose one of --proposals, --query (or --strategy, --budget), --partly and --all")
    if query_shares is not None and strategy is None and budget is None:
        raise InvalidArgument("--query-shares applies only to a new query; add --strategy or --budget")
    if strategy is not None or budget is not None:
        make_query(work, strategy, budget, query_shares, dry_run=dry_run)
        if dry_run:
            return  # What would be pushed is what would be asked.
    request = PushRequest(
        what="query" if asks else "partly" if partly else "all" if all_images else "proposals",
        limit=limit,
        recreate=recreate,
        known=known,
        polygons=outlines,
        control_share=control_share,
        second_share=second_share,
        catch_share=catch_share,
        audit_share=audit_share,
        file_names=work.settings.file_names,
        ask_class=ask_class,
    )
    _send(work, request, dry_run=dry_run)


def _send(work: Workspace, request: "PushRequest", *, dry_run: bool) -> None:
    from annotator.label_studio.push.push_images import push_images

    with work.connected_client() as client:
        folder = work.media_folder(client.url)
        report = push_images(
            work.registry, client, request, media_folder=folder, dry_run=dry_run, progress=work.progress
        )
        url = client.url
    _print_sync(work, report, dry_run=dry_run)
    with work.registry.read() as tx:
        work.output.line(str(work.review_page(url, tx.connections.current().project_id)))
    work.say_next(dry_run=dry_run)


def pull(
    work: Workspace,
    resolve: Annotated[
        str,
        typer.Option(
            metavar="POLICY",
            help="How to resolve several reviews of an image: latest, unanimous, majority, or a reviewer's name.",
        ),
    ] = "latest",
    empty: Annotated[
        str | None,
        typer.Option(
            metavar="MEANING",
            help='Meaning of an annotation without a box: "nothing" or "no lesion" (default: as in partly.toml).',
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Check every task, not only those that changed.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Keep pulling until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(metavar="S", help="With --follow: seconds between pulls.")] = 30.0,
    webhook_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", help="With --follow: listen for Label Studio's webhooks on this port; 0 for any free one."
        ),
    ] = None,
    webhook_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address at which Label Studio reaches that port (default: this machine's)."),
    ] = None,
    change_test: ChangeTest = False,
    dry_run: DryRun = False,
) -> None:
    """Fetch reviews from Label Studio into the registry.

    Proposals come back as accepted, edited or rejected, other locations as drawn; safe to repeat.
    """
    from annotator.label_studio.pull.plan import PullRequest
    from annotator.label_studio.pull.pull_reviews import pull_reviews

    request = PullRequest(
        policy=resolve,
        change_test=change_test,
        empty_is_none=work.settings.empty_is_none if empty is None else _empty_is_none(empty),
        full=full and not follow,
        author=work.user,
    )

    def once(client: "LabelStudioClient", progress: "Progress | None") -> "PullReport":
        return pull_reviews(work.registry, client, request, dry_run=dry_run, progress=progress)

    with work.connected_client() as client:
        if follow:
            listen = None if webhook_port is None else (webhook_port, webhook_url)
            total = _follow(work, client, lambda: once(client, None), every, listen)
            work.output.document(total, (("", "count"), list(total.items())))
            return
        report = once(client, work.progress)
    _print_sync(work, report, dry_run=dry_run)
    if report.questioned:
        count = len(report.questioned)
        work.output.line(
            f"{counted(count, 'review calls', 'reviews call')} a class wrong; list the images: partly doctor"
        )
    if report.class_contested:
        listed = ", ".join(map(str, report.class_contested[:5]))
        work.output.line(
            f"reviewers disagree about the class of {counted(len(report.class_contested), 'image')} "
            f"({listed}); none is stored; to decide: partly set IMAGE --class NAME"
        )
    if report.operation is not None:
        work.output.line(f"to undo this pull: partly undo {report.operation}")
        work.say_next()


def _follow(
    work: Workspace,
    client: "LabelStudioClient",
    pull_once: "Callable[[], PullReport]",
    every_s: float,
    listen: tuple[int, str | None] | None,
) -> dict[str, int]:
    """Pull until a signal comes; returns what all pulls did together."""
    import threading
    from contextlib import ExitStack

    from annotator.label_studio.pull.follow import follow as follow_project
    from annotator.label_studio.pull.follow import hints_from
    from cli.commands.serve import stop_on_signals
    from db.errors import InvalidArgument

    if every_s < 1:
        raise InvalidArgument(f"--every must be at least 1 second, got {every_s:g}")
    total = {"pulls": 0, "created": 0, "updated": 0, "withdrawn": 0}

    def told(report: "PullReport") -> None:
        total["pulls"] += 1
        done = {name: getattr(report, name) for name in ("created", "updated", "withdrawn")}
        for name, count in done.items():
            total[name] += count
        if any(done.values()):
            work.output.remark(", ".join(f"{count} {name}" for name, count in done.items() if count))

    hint, stop = threading.Event(), stop_on_signals()
    with ExitStack() as stack:
        if listen is not None:
            with work.registry.read() as tx:
                project_id = tx.connections.current().project_id
            port, url = listen
            host = "127.0.0.1" if url is None else "0.0.0.0"
            hints = hints_from(client, project_id, hint, host=host, port=port, url=url)
            address = stack.enter_context(hints).rpartition("/hint/")[0]
            reach = "" if url is None else "; other machines can reach this port, too"
            work.output.remark(f"Label Studio sends change notifications to {address}{reach}")
        follow_project(pull_once, told, every_s=every_s, hint=hint, stop=stop, say=work.output.remark)
    return total


def _empty_is_none(meaning: str) -> bool:
    from cli.settings import EMPTY_IS_NONE, EMPTY_RESULTS
    from db.errors import InvalidArgument

    if meaning not in EMPTY_RESULTS:
        raise InvalidArgument(f"--empty must be one of {', '.join(EMPTY_RESULTS)}, got {meaning!r}")
    return meaning == EMPTY_IS_NONE


def _print_sync(work: Workspace, report: "PushReport | PullReport", *, dry_run: bool) -> None:
    document = document_of(report)
    rows = [(key, value) for key, value in document.items() if isinstance(value, int) and not isinstance(value, bool)]
    rows += [*document.get("outcomes", {}).items(), ("skipped", len(report.skipped))]
    tables: list[Table] = [(("", "count"), rows)]
    if dry_run and report.plan:
        planned = [(item["action"], item["image"], item["task"], item.get("outcome")) for item in document["plan"]]
        tables.append((("would", "image", "task", "as"), planned[:20]))
    if report.skipped:
        skipped = [(item.image, item.task, item.reason) for item in report.skipped[:20]]
        tables.append((("image", "task", "skipped because"), skipped))
    if document.get("resumed"):
        work.output.line("finished an interrupted push; push again to send what is new since then")
    # What was done is counted; only what would be done is listed.
    shown = {key: value for key, value in document.items() if dry_run or key != "plan"}
    work.output.document(shown | {"dry_run": dry_run}, *tables)
