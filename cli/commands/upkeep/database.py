"""db upgrade, check, backup, restore: registry maintenance. cache status, clear, limit: what is kept to save time."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.command import command
from cli.context import Workspace
from cli.exits import REGISTRY
from cli.help.pages import PlainGroup
from cli.options import DryRun

if TYPE_CHECKING:
    from learner.caches import CacheSize


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    database = typer.Typer(
        name="db", cls=PlainGroup, help="Maintain the registry: upgrade, check, backup, restore.", no_args_is_help=True
    )
    command(database, "upgrade")(upgrade)
    command(database, "check")(check)
    command(database, "backup")(backup)
    command(database, "restore")(restore)
    app.add_typer(database)
    cache = typer.Typer(
        name="cache",
        cls=PlainGroup,
        help="Manage the project's caches: framed images, features.",
        no_args_is_help=True,
    )
    command(cache, "status")(cache_status)
    command(cache, "clear")(cache_clear)
    command(cache, "limit")(cache_limit)
    app.add_typer(cache)


def upgrade(work: Workspace, dry_run: DryRun = False) -> None:
    """Upgrade the registry to the current schema. A SQLite file is copied first."""
    from db.maintenance.backup import upgrade_registry

    report = upgrade_registry(work.settings.database_url, work.settings.root, dry_run=dry_run)
    outdated = report.found != report.wanted
    document = {"from": report.found, "to": report.wanted, "upgraded": outdated, "dry_run": dry_run}
    work.output.document(document | {"copy": str(report.copy) if report.copy else None})
    if not outdated:
        work.output.line(f"the schema is up to date: {report.wanted}")
    else:
        kept = f"; copy of the old registry: {report.copy}" if report.copy else ""
        work.output.line(f"{'would upgrade' if dry_run else 'upgraded'} from {report.found} to {report.wanted}{kept}")


def check(work: Workspace) -> None:
    """Check the registry's integrity.

    Covers the database, constraints between tables, masks and snapshots.
    """
    from db.maintenance.integrity import check_registry
    from db.maintenance.untrusted import check_schema

    problems = check_schema(work.registry) + check_registry(work.registry)
    rows = [(problem,) for problem in problems]
    work.output.document({"sound": not problems, "problems": problems}, *([(("problem",), rows)] if rows else []))
    if problems:
        work.output.line("restore a backup into a new project: partly --project DIR db restore FILE")
        raise typer.Exit(REGISTRY)
    work.output.line("the registry is sound")


def backup(
    work: Workspace,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Backup file to create; it must not exist yet.")],
    dry_run: DryRun = False,
) -> None:
    """Write the whole registry to one file.

    Works with SQLite and PostgreSQL. Images are not included.
    """
    from db.maintenance.backup import backup_registry

    counts = backup_registry(work.registry, out, dry_run=dry_run, progress=work.progress)
    work.output.document(
        {"file": str(out), "rows": counts, "dry_run": dry_run}, (("table", "rows"), list(counts.items()))
    )


def restore(
    work: Workspace,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Backup file.")],
    dry_run: DryRun = False,
) -> None:
    """Restore a backup into this project's empty registry.

    Works with SQLite and PostgreSQL, whichever the backup comes from.
    """
    from db.maintenance.backup import plan_restore, restore_project

    if dry_run:
        counts = plan_restore(file, work.settings.database_url, work.settings.root)
    else:
        counts = restore_project(file, work.settings.database_url, work.settings.root, progress=work.progress)
    work.output.document(
        {"file": str(file), "rows": counts, "dry_run": dry_run}, (("table", "rows"), list(counts.items()))
    )


def cache_status(work: Workspace) -> None:
    """Show the caches, and how much space they take."""
    from learner.caches import measure_caches

    _print_caches(work, measure_caches(work.settings.root))


def cache_clear(
    work: Workspace,
    kinds: Annotated[
        list[str] | None, typer.Argument(metavar="KIND", help="framed, features, scores or remote (default: all).")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Delete caches.

    Everything in them is rebuilt when needed.
    """
    from db.imaging.limits import in_words
    from learner.caches import clear_caches

    cleared = clear_caches(work.settings.root, kinds or (), dry_run=dry_run)
    _print_caches(work, cleared, dry_run=dry_run)
    work.output.line(f"{'would free' if dry_run else 'freed'} {in_words(sum(found.bytes for found in cleared))}")


def cache_limit(
    work: Workspace,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="Disk space, such as 50GB.")],
    dry_run: DryRun = False,
) -> None:
    """Set how much space framed images may take.

    Beyond it, the least recently used ones are removed.
    """
    from db.imaging.limits import in_words
    from learner.caches import set_limit

    limit = set_limit(work.settings.root, size, dry_run=dry_run)
    work.output.document({"limit_bytes": limit, "dry_run": dry_run})
    work.output.line(f"framed images {'would' if dry_run else 'may'} take up to {in_words(limit)}")


def _print_caches(work: Workspace, found: "list[CacheSize]", *, dry_run: bool | None = None) -> None:
    from db.imaging.limits import in_words

    document = {
        "caches": [
            {"kind": one.kind, "items": one.items, "bytes": one.bytes, "limit_bytes": one.limit_bytes,
             "folder": str(one.folder)}
            for one in found
        ]
    }  # fmt: skip
    rows = [
        (one.kind, one.items, in_words(one.bytes), in_words(one.limit_bytes) if one.limit_bytes else "", one.holds)
        for one in found
    ]
    work.output.document(
        document | ({} if dry_run is None else {"dry_run": dry_run}),
        (("cache", "items", "on disk", "limit", "holds"), rows),
    )
