"""studio, connect, push, pull: where people come in."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.command import command
from cli.context import Workspace
from cli.options import ChangeTest, DryRun

if TYPE_CHECKING:
    from annotator.label_studio.client import LabelStudioClient
    from annotator.label_studio.pull.plan import PullReport
    from db.progress import Progress


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    studio = typer.Typer(
        name="studio", help="A local Label Studio, in an environment of its own.", no_args_is_help=True
    )
    command(studio, "start")(start)
    command(studio, "stop")(stop)
    command(studio, "status")(show)
    app.add_typer(studio)
    command(app, "connect")(connect)
    command(app, "push")(push)
    command(app, "pull")(pull)
    command(app, "journal")(journal)


def start(
    work: Workspace,
    port: Annotated[int | None, typer.Option(help="Port; by default the last one or the first free from 8080.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Install (once) and start a Label Studio that listens on this machine only."""
    from annotator.label_studio.local_server import start_studio, studio_status

    status = studio_status(work.studio) if dry_run else start_studio(work.studio, port=port, progress=work.progress)
    _print_studio(work, status)
    work.output.line("next: partly connect" + (f" {status.url}" if status.url else ""))


def stop(work: Workspace, dry_run: DryRun = False) -> None:
    """Stop the local Label Studio; its data stays."""
    from annotator.label_studio.local_server import stop_studio, studio_status

    stopped = studio_status(work.studio).running if dry_run else stop_studio(work.studio)
    work.output.document({"stopped": stopped, "dry_run": dry_run})
    work.output.line("stopped" if stopped else "it was not running")


def show(work: Workspace) -> None:
    """Say whether the local Label Studio runs, and where."""
    from annotator.label_studio.local_server import studio_status

    _print_studio(work, studio_status(work.studio))


def _print_studio(work: Workspace, status: Any) -> None:
    document = asdict(status) | {"account_file": str(work.studio.home / "account.json"), "log": str(work.studio.log)}
    work.output.document(document, (("", ""), list(document.items())))


def connect(
    work: Workspace,
    url: Annotated[str, typer.Argument(help="The server's address, such as http://localhost:8080.")],
    title: Annotated[str | None, typer.Option(help="Name of the project to find or create.")] = None,
    project_id: Annotated[int | None, typer.Option(help="Number of an existing project instead.")] = None,
    masks: Annotated[bool, typer.Option("--masks", help="With tools for masks: paint and outlines.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Check the server and the token, and find or create the project that push and pull work with."""
    from annotator.label_studio.connect import connect_project

    with work.client(url) as client:
        connection, project, user = connect_project(
            work.registry,
            client,
            title=title or work.settings.title,
            project_id=project_id,
            media_folder=work.media_folder(client.url),
            masks=masks,
            dry_run=dry_run,
        )
        document = {
            "url": client.url,
            "user": user,
            "project": project.id if project else None,
            "title": project.title if project else title or work.settings.title,
            "media": connection.media if connection else None,
            "address": f"{client.url}/projects/{project.id}" if project else None,
        }
    work.output.document(document, (("", ""), list(document.items())))


def push(
    work: Workspace,
    proposals: Annotated[
        bool, typer.Option("--proposals", help="Images with a pending proposal (the default).")
    ] = False,
    partly: Annotated[bool, typer.Option("--partly", help="All images without a known location.")] = False,
    all_images: Annotated[bool, typer.Option("--all", help="Every image outside test.")] = False,
    limit: Annotated[int | None, typer.Option(metavar="N", help="At most so many new tasks, surest first.")] = None,
    control_share: Annotated[
        float,
        typer.Option(
            metavar="F", help="Send this share of new tasks without their proposal, to measure its influence."
        ),
    ] = 0.0,
    second_share: Annotated[
        float, typer.Option(metavar="F", help="Have this share of new tasks seen by two people.")
    ] = 0.0,
    catch_share: Annotated[
        float,
        typer.Option(
            metavar="F",
            help="Hide as many tasks more whose proposal is known to be wrong, as a share of those with a proposal.",
        ),
    ] = 0.0,
    known: Annotated[
        bool, typer.Option("--known", help="With new tasks of located images, send what is known, to be corrected.")
    ] = False,
    outlines: Annotated[bool, typer.Option("--outlines", help="Send masks as outlines instead of paint.")] = False,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Make tasks anew that were deleted in Label Studio.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Send images to Label Studio as tasks, with pending proposals as predictions. Safe to repeat."""
    from annotator.label_studio.push.plan import PushRequest
    from annotator.label_studio.push.push_images import push_images
    from db.errors import InvalidArgument

    if proposals + partly + all_images > 1:
        raise InvalidArgument("--proposals, --partly and --all exclude each other")
    request = PushRequest(
        what="partly" if partly else "all" if all_images else "proposals",
        limit=limit,
        recreate=recreate,
        known=known,
        polygons=outlines,
        control_share=control_share,
        second_share=second_share,
        catch_share=catch_share,
    )
    with work.connected_client() as client:
        folder = work.media_folder(client.url)
        report = push_images(
            work.registry, client, request, media_folder=folder, dry_run=dry_run, progress=work.progress
        )
    _print_sync(work, asdict(report), dry_run=dry_run)


def pull(
    work: Workspace,
    resolve: Annotated[
        str,
        typer.Option(
            metavar="POLICY",
            help="What holds where several people have spoken: latest, unanimous, majority, or a reviewer's name.",
        ),
    ] = "latest",
    empty: Annotated[
        str | None,
        typer.Option(
            metavar="MEANING",
            help='What an annotation without a box means: "nothing" or "no lesion"; by default as partly.toml says.',
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Look at every task, not only at what changed.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Pull again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(metavar="S", help="With --follow: look this often, in seconds.")] = 30.0,
    webhook_port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="With --follow: let Label Studio say here when to look; 0 for any port."),
    ] = None,
    webhook_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where Label Studio reaches that port; by default this machine's own."),
    ] = None,
    change_test: ChangeTest = False,
    dry_run: DryRun = False,
) -> None:
    """Bring what people drew, accepted, edited or rejected into the registry. Safe to repeat."""
    from annotator.label_studio.pull.plan import PullRequest
    from annotator.label_studio.pull.pull_reviews import pull_reviews

    request = PullRequest(
        policy=resolve,
        change_test=change_test,
        empty_is_none=empty_means_none(empty, work.settings.empty_result),
        full=full and not follow,
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
    _print_sync(work, asdict(report), dry_run=dry_run)


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
        raise InvalidArgument(f"--every is at least one second, got {every_s:g}")
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
            work.output.remark(f"Label Studio gives hints at {stack.enter_context(hints).rpartition('/hint/')[0]}")
        follow_project(pull_once, told, every_s=every_s, hint=hint, stop=stop, say=work.output.remark)
    return total


def empty_means_none(option: str | None, setting: str) -> bool:
    """Say whether an annotation without a box means that there is nothing.

    Raises:
        InvalidArgument: the option is neither of the two meanings.
    """
    from cli.settings import EMPTY_RESULTS
    from db.errors import InvalidArgument

    meaning = option or setting
    if meaning not in EMPTY_RESULTS:
        raise InvalidArgument(f"--empty is one of {', '.join(EMPTY_RESULTS)}, got {meaning!r}")
    return meaning == "no lesion"


def _print_sync(work: Workspace, report: dict[str, Any], *, dry_run: bool) -> None:
    skipped = [(item.get("image"), item.get("task"), item["reason"]) for item in report["skipped"]]
    rows = [(key, value) for key, value in report.items() if isinstance(value, int) and not isinstance(value, bool)]
    rows += [*report.get("outcomes", {}).items(), ("skipped", len(skipped))]
    tables: list[Any] = [(("", "count"), rows)]
    if dry_run and report["plan"]:
        planned = [(item["action"], item["image"], item["task"], item.get("outcome")) for item in report["plan"]]
        tables.append((("would", "image", "task", "as"), planned[:20]))
    if skipped:
        tables.append((("image", "task", "skipped because"), skipped[:20]))
    if report.get("resumed"):
        work.output.line("went on with a push that was cut; push again for what is new since")
    # What was done is counted; only what would be done is listed.
    shown = report if dry_run else {key: value for key, value in report.items() if key != "plan"}
    work.output.document(shown | {"dry_run": dry_run}, *tables)


def journal(
    work: Workspace,
    limit: Annotated[int, typer.Option(metavar="N", help="So many, newest first.")] = 10,
) -> None:
    """Show the last pushes and pulls: what each was asked for, what it did, and whether it was cut."""
    from db.records.sync import StepState

    with work.registry.read() as tx:
        syncs = tx.journal.all(limit=max(limit, 1))
        left = {sync.id: len(tx.journal.steps(sync.id, states=[StepState.PLANNED, StepState.SENT])) for sync in syncs}
    document = [
        {
            "id": sync.id,
            "kind": sync.kind,
            "status": sync.status,
            "begun": sync.created_at.isoformat(),
            "ended": sync.finished_at.isoformat() if sync.finished_at else None,
            "options": sync.options,
            "counts": sync.counts,
            "left": left[sync.id],
            "owner": sync.owner,
            "detail": sync.detail,
        }
        for sync in syncs
    ]
    rows = [
        (
            item["id"],
            item["kind"],
            item["status"],
            sync.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            ", ".join(f"{count} {name}" for name, count in sync.counts.items() if count and count is not True),
            item["left"],
            item["detail"],
        )
        for item, sync in zip(document, syncs, strict=True)
    ]
    titles = ("", "kind", "status", "begun", "did", "steps left", "ended with")
    work.output.document({"syncs": document}, (titles, rows))
