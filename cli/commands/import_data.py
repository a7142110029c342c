"""import: registers the images of a data set."""

from typing import TYPE_CHECKING, Annotated

import typer

from annotator.datasets.formats.names import BoxesAs, InputFormat
from cli.context import Workspace
from cli.documents import document_of
from cli.exits import REGISTRY
from cli.options import ChangeTest, DryRun
from db.plain_text import counted

if TYPE_CHECKING:
    from annotator.datasets.import_report import ImportReport

BoxNames = Annotated[
    BoxesAs,
    typer.Option(
        help="What a box's name stands for: the class of the image, or nothing, so that an image may have boxes with "
        "different names.",
    ),
]
ClassFrom = Annotated[
    str | None,
    typer.Option(
        metavar="folder|NAME",
        help="Take an image's class from its folder, or from this column (csv; A,B,C: whichever holds a 1), choice "
        "(labelstudio) or attribute (via).",
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX", help="Regular expression that extracts an image's group (patient, video) from its name."
    ),
]
Origin = Annotated[
    int | None,
    typer.Option(
        metavar="0|1",
        min=0,
        max=1,
        help="With voc: number of the first pixel (default: inferred from the tool that wrote the files).",
    ),
]


def import_(
    work: Workspace,
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Data set: a folder, a labels.csv, a COCO file, or a URI (s3://).")
    ],
    layout: Annotated[
        InputFormat, typer.Option(help="Layout of the data set (default: detected from its files).")
    ] = InputFormat.AUTO,
    images: Annotated[
        str | None,
        typer.Option(metavar="DIR|URI", help="Folder that image names are relative to (default: the data set's own)."),
    ] = None,
    keep_locations: Annotated[
        float,
        typer.Option(
            metavar="F",
            help="Keep this share of the locations, 0 to 1, stratified by class; the other images become partly "
            "labeled.",
        ),
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Random seed of --keep-locations.")] = 0,
    group_by: GroupBy = None,
    origin: Origin = None,
    boxes_as: BoxNames = BoxesAs.CLASS,
    class_from: ClassFrom = None,
    mask_background: Annotated[
        int | None,
        typer.Option(metavar="N", help="Mask value that means background (default: black or transparent pixels)."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Import even if the layout seems to be wrong for this data set.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Also exit with code 4 after any warning: something was not used.")
    ] = False,
    change_test: ChangeTest = False,
    dry_run: DryRun = False,
) -> None:
    """Register the images of a data set with their labels. Importing the same data again changes nothing."""
    from dataclasses import replace

    from annotator.datasets.import_images import import_images
    from annotator.datasets.import_request import ImportRequest
    from annotator.errors import DataSuspicious

    request = ImportRequest(
        path,
        layout.value,
        images=images,
        keep_locations=keep_locations,
        seed=seed,
        group_by=group_by,
        change_test=change_test,
        first_pixel=origin,
        boxes_as=boxes_as,
        class_from=class_from,
        mask_background=mask_background,
        force=force,
        author=work.user,
    )
    try:
        report = import_images(work.registry, request, dry_run=dry_run, progress=work.progress)
    except DataSuspicious as exc:
        answer = work.output.confirm(f"partly: {exc}\nImport it anyway?")
        if answer is None:
            raise
        if not answer:
            raise typer.Exit(REGISTRY) from None
        request = replace(request, force=True)
        report = import_images(work.registry, request, dry_run=dry_run, progress=work.progress)
    _print_import(work, report, dry_run=dry_run)
    if report.refused or (strict and report.warnings):
        raise typer.Exit(REGISTRY)


def _print_import(work: Workspace, report: "ImportReport", *, dry_run: bool) -> None:
    from annotator.datasets.import_report import shown_refusals
    from annotator.datasets.listing.entries import Part

    if report.recognised is not None:
        work.output.remark(report.recognised)
    for warning in report.warnings:
        work.output.remark(f"warning: {warning}")
    counts = {name: getattr(report, name) for name in ("registered", "updated", "moved", "unchanged")}
    refused = [{"file": refusal.file, "reason": refusal.reason} for refusal in report.refused]
    if report.near_duplicates:
        work.output.remark(
            f"{counted(report.near_duplicates, 'pair')} of near-duplicates; splits keep them together. "
            "List them: partly doctor"
        )
    counts["near_duplicates"] = report.near_duplicates
    if report.not_opened:
        work.output.remark(
            f"{report.not_opened:,} of the images were only looked up, not opened: a dry run opens just a sample of a "
            "large data set"
        )
    parts = [
        (part, *(getattr(counted, part) for counted in (report.there, report.used, report.unused))) for part in Part
    ]
    work.output.document(
        {
            **counts,
            "used": document_of(report.used),
            "unused": document_of(report.unused),
            "not_used": document_of(report.not_used),
            "refused": refused,
            "warnings": report.warnings,
            "not_opened": report.not_opened,
            "operation": report.operation,
            "recognised": report.recognised,
            "dry_run": dry_run,
        },
        (("images", "count"), [*counts.items(), ("refused", len(refused))]),
        (("in the data set", "found", "used", "not used"), [row for row in parts if row[1]]),
        *([(("refused", "reason"), shown_refusals(report.refused))] if refused else []),
    )
    if report.operation is not None:
        work.output.line(f"to undo this import: partly undo {report.operation}")
        work.say_next()
