"""studio, connect, push, pull: where people come in."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from cli.command import command
from cli.commands.data import ChangeTest, DryRun
from cli.context import Workspace


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


def start(
    work: Workspace,
    port: Annotated[int | None, typer.Option(help="Port; by default the last one or the first free from 8080.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Install (once) and start a Label Studio that listens on this machine only."""
    from annotator.studio import start_studio, studio_status

    status = studio_status(work.studio) if dry_run else start_studio(work.studio, port=port, progress=work.progress)
    _print_studio(work, status)
    work.output.line("next: partly connect" + (f" {status.url}" if status.url else ""))


def stop(work: Workspace, dry_run: DryRun = False) -> None:
    """Stop the local Label Studio; its data stays."""
    from annotator.studio import stop_studio, studio_status

    stopped = studio_status(work.studio).running if dry_run else stop_studio(work.studio)
    work.output.document({"stopped": stopped, "dry_run": dry_run})
    work.output.line("stopped" if stopped else "it was not running")


def show(work: Workspace) -> None:
    """Say whether the local Label Studio runs, and where."""
    from annotator.studio import studio_status

    _print_studio(work, studio_status(work.studio))


def _print_studio(work: Workspace, status: Any) -> None:
    document = asdict(status) | {"account_file": str(work.studio.home / "account.json"), "log": str(work.studio.log)}
    work.output.document(document, (("", ""), list(document.items())))


def connect(
    work: Workspace,
    url: Annotated[str, typer.Argument(help="The server's address, such as http://localhost:8080.")],
    title: Annotated[str | None, typer.Option(help="Name of the project to find or create.")] = None,
    project_id: Annotated[int | None, typer.Option(help="Number of an existing project instead.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Check the server and the token, and find or create the project that push and pull work with."""
    from annotator.connect import connect_project

    with work.client(url) as client:
        connection, project, user = connect_project(
            work.registry,
            client,
            title=title or work.settings.title,
            project_id=project_id,
            media_folder=work.media_folder(client.url),
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
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Make tasks anew that were deleted in Label Studio.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Send images to Label Studio as tasks, with pending proposals as predictions. Safe to repeat."""
    from annotator.push import push_images
    from db.errors import InvalidArgument

    if proposals + partly + all_images > 1:
        raise InvalidArgument("--proposals, --partly and --all exclude each other")
    what = "partly" if partly else "all" if all_images else "proposals"
    with work.connected_client() as client:
        report = push_images(
            work.registry,
            client,
            what=what,
            limit=limit,
            media_folder=work.media_folder(client.url),
            recreate=recreate,
            control_share=control_share,
            dry_run=dry_run,
            progress=work.progress,
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
    change_test: ChangeTest = False,
    dry_run: DryRun = False,
) -> None:
    """Bring what people drew, accepted, edited or rejected into the registry. Safe to repeat."""
    from annotator.pull import pull_reviews

    with work.connected_client() as client:
        report = pull_reviews(
            work.registry,
            client,
            policy=resolve,
            change_test=change_test,
            dry_run=dry_run,
            progress=work.progress,
        )
    _print_sync(work, asdict(report), dry_run=dry_run)


def _print_sync(work: Workspace, report: dict[str, Any], *, dry_run: bool) -> None:
    skipped = [(item.get("image"), item.get("task"), item["reason"]) for item in report["skipped"]]
    rows = [(key, value) for key, value in report.items() if isinstance(value, int)]
    rows += [*report.get("outcomes", {}).items(), ("skipped", len(skipped))]
    tables: list[Any] = [(("", "count"), rows)]
    if skipped:
        tables.append((("image", "task", "skipped because"), skipped[:20]))
    work.output.document(report | {"dry_run": dry_run}, *tables)
