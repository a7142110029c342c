"""A project as an object: one documented method for every use-case of the command line."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cli.context import CommonOptions, Workspace

if TYPE_CHECKING:
    from annotator.datasets.export_images import ExportReport
    from annotator.datasets.import_report import ImportReport
    from annotator.label_studio.pull.plan import PullReport
    from annotator.label_studio.push.push_images import PushReport
    from cli.workflows.round import RoundResult
    from db.curation.doctor import Finding
    from db.history.retraction import RetractionReport
    from db.records import ConnectionRecord, Event, ImageRecord, RegistryStatus, RunRecord, SnapshotRecord
    from learner.bench.bench import BenchResult
    from learner.evaluation.evaluate import Evaluation
    from learner.export.export_model import ModelExportReport
    from learner.inference.propose import ProposeResult
    from learner.query.plan_rounds import LoopPlan
    from learner.query.query_images import QueryRequest, QueryResult
    from learner.query.rounds import RoundSummary
    from learner.reporting.explain import Explanation
    from learner.reporting.report import Report
    from learner.training.train import TrainResult


def open_project(path: str | Path = ".", *, database: str | None = None, quiet: bool = True) -> "Project":
    """Open a project folder.

    Args:
        path: the folder that holds partly.toml.
        database: SQLAlchemy URL of the registry, where it is not the one that the project names.
        quiet: show no progress bars.

    Raises:
        RegistryMissing: there is no project there. SchemaOutOfDate: run `partly db upgrade` first.
    """
    project = Project(Path(path), database=database, quiet=quiet)
    project.status()
    return project


def create_project(path: str | Path, *, database: str | None = None, quiet: bool = True) -> "Project":
    """Create a project folder with its registry, or open it where it exists already.

    Raises:
        RegistryError: the registry cannot be made there.
    """
    from cli.settings import settings_of, write_project_file
    from db.registry import create_registry

    root = Path(path).resolve()
    write_project_file(root)
    create_registry(settings_of(root, database=database).database_url, root).close()
    return open_project(root, database=database, quiet=quiet)


class Project:
    """A project folder with its registry; a context manager that closes it.

    Methods take plain values and return frozen records, see `partly.to_rows`. They raise RegistryError, AnnotatorError
    and LearnerError, which are in `partly.errors`.
    """

    def __init__(self, path: Path, *, database: str | None = None, quiet: bool = True) -> None:
        self._work = Workspace(CommonOptions(path, database))
        if quiet:
            self._work.output.mute()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the registry."""
        self._work.registry.close()

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self._work.settings.root

    # --- what is known

    def status(self) -> "RegistryStatus":
        """Count images by what is known of them, proposals by outcome, and runs."""
        with self._work.registry.read() as tx:
            return tx.status.count()

    def images(self, *, split: str | None = None, supervision: str | None = None) -> "list[ImageRecord]":
        """Return registered images with their current labels.

        Args:
            split: `train`, `val` or `test`; None for all.
            supervision: `fully`, `partly` or `unlabeled`; None for all.
        """
        from db.records import Split, Supervision

        with self._work.registry.read() as tx:
            return tx.images.select(
                splits=[Split(split)] if split is not None else None,
                supervision=Supervision(supervision) if supervision is not None else None,
            )

    def runs(self) -> "list[RunRecord]":
        """Return all trainings, the oldest first."""
        with self._work.registry.read() as tx:
            return tx.runs.all()

    def log(self, image: int | str) -> "list[Event]":
        """Return the history of an image.

        Args:
            image: its number, its path or URI, or the end of its path.
        """
        with self._work.registry.read() as tx:
            return tx.history.of_image(tx.images.resolve(str(image)).id)

    def snapshots(self) -> "list[SnapshotRecord]":
        """Return the states of the registry that can be read again."""
        with self._work.registry.read() as tx:
            return tx.snapshots.all()

    # --- data sets

    def import_images(self, path: str | Path, layout: str, *, dry_run: bool = False, **options: Any) -> "ImportReport":
        """Register the images of a data set; importing it again changes nothing.

        Args:
            path: the data set.
            layout: `busi`, `coco`, `csv`, `folders`, `voc` or `yolo`.
            dry_run: read and check everything, write nothing.
            options: further fields of `annotator.datasets.import_request.ImportRequest`.
        """
        from annotator.datasets.import_images import import_images
        from annotator.datasets.import_request import ImportRequest

        request = ImportRequest(path, layout, **{"author": self._work.user, **options})
        return import_images(self._work.registry, request, dry_run=dry_run, progress=self._work.progress)

    def export(self, out: str | Path, layout: str, *, dry_run: bool = False, **options: Any) -> "ExportReport":
        """Write reviewed labels with their images.

        Args:
            out: the folder to make.
            layout: `coco`, `csv`, `voc` or `yolo`.
            dry_run: only count.
            options: further fields of `annotator.datasets.export_images.ExportRequest`.
        """
        from annotator.datasets.export_images import ExportRequest, export_images

        request = ExportRequest(Path(out), layout, **options)
        return export_images(self._work.registry, request, dry_run=dry_run, progress=self._work.progress)

    def split(self, *, val: float = 0.15, test: float = 0.0, seed: int = 0, dry_run: bool = False) -> dict[str, int]:
        """Divide the images by group, stratified by class; returns the number of images by split."""
        from db.curation.splitting import split_images

        return split_images(self._work.registry, val=val, test=test, seed=seed, dry_run=dry_run)

    def doctor(self, *, verify: bool = False) -> "Sequence[Finding]":
        """Look for near-duplicates, class conflicts, leaks between splits and missing files.

        Args:
            verify: read every file and compare its content.
        """
        from db.curation.doctor import find_problems

        return find_problems(self._work.registry, verify_files=verify, progress=self._work.progress)

    def retract(
        self, *, run: str | None = None, reviewer: str | None = None, dry_run: bool = False
    ) -> "RetractionReport":
        """Take back every label that came from a run or a reviewer; what was known before holds again."""
        from db.history.retraction import retract_labels

        return retract_labels(self._work.registry, run=run, reviewer=reviewer, author=self._work.user, dry_run=dry_run)

    def undo_retraction(self, retraction: int, *, dry_run: bool = False) -> "RetractionReport":
        """Restore what a retraction took back."""
        from db.history.retraction import undo_retraction

        return undo_retraction(self._work.registry, retraction, author=self._work.user, dry_run=dry_run)

    # --- models

    def train(self, *, preset: str = "default", resume: bool = False, **settings: Any) -> "TrainResult":
        """Train in two stages on all images outside the test split.

        Args:
            preset: `default` or `paper`.
            resume: continue the newest interrupted run.
            settings: over the preset's and the project's, see docs/config.md; `lambda_` for `lambda`.
        """
        from learner.config import make_config
        from learner.training.train import train_model

        config = make_config(preset, {**self._work.settings.train, **settings})
        return train_model(self._work.registry, config, resume=resume, progress=self._work.progress)

    def evaluate(self, *, run: str | None = None, split: str = "test") -> "Evaluation":
        """Score a run on a split; the result holds a row for every image too."""
        from db.records import Split
        from learner.evaluation.evaluate import evaluate_run

        return evaluate_run(self._work.registry, run=run, split=Split(split), progress=self._work.progress)

    def propose(
        self,
        *,
        dry_run: bool = False,
        precision: float | None = None,
        confidence: float | None = None,
        **options: Any,
    ) -> "ProposeResult":
        """Suggest locations for partly-labeled images; those above tau are stored for review.

        Args:
            dry_run: score, but store nothing.
            precision: with tau="auto" the share of the proposals that must be right, .85 by default.
            confidence: with tau="auto" the chance that this holds, .8 by default.
            options: fields of `learner.inference.propose.ProposeRequest`: run, tau, gate, budget.
        """
        from learner.inference.gate import parse_promise
        from learner.inference.propose import ProposeRequest, propose_locations

        request = ProposeRequest(promise=parse_promise(options.get("tau"), precision, confidence), **options)
        return propose_locations(self._work.registry, request, dry_run=dry_run, progress=self._work.progress)

    def query(
        self,
        *,
        strategy: str | None = None,
        budget: int = 50,
        shares: tuple[float, float, float] = (0.6, 0.3, 0.1),
        seed: int = 0,
        dry_run: bool = False,
        **options: Any,
    ) -> "QueryResult":
        """Choose images to ask people about next; `push(what="query")` sends them.

        Args:
            strategy: one of `partly query --strategies`; None: typical before the first training,
                disagreement after.
            budget: images in all.
            shares: of proposals to confirm, images to draw, and of the audit.
            seed: random seed.
            dry_run: choose, but store nothing.
            options: fields of `learner.inference.propose.ProposeRequest` for what is to be confirmed: run, tau, gate.
        """
        from learner.inference.propose import ProposeRequest
        from learner.query.batch import Shares
        from learner.query.query_images import QueryRequest, query_images

        request = QueryRequest(strategy, budget, Shares(*shares), ProposeRequest(**options), seed)
        return query_images(self._work.registry, request, dry_run=dry_run, progress=self._work.progress)

    def rounds(self) -> "list[RoundSummary]":
        """Return all rounds, oldest first: what each knew, trained, asked and reached."""
        from learner.query.rounds import list_rounds

        return list_rounds(self._work.registry)

    def plan(self, *, boxes: int = 50, target_iou: float | None = None) -> "LoopPlan":
        """Say what further locations would bring, from the learning curve of the rounds."""
        from learner.query.plan_rounds import plan_rounds

        return plan_rounds(self._work.registry, boxes=boxes, target_iou=target_iou, progress=self._work.progress)

    def report(self, out: str | Path, *, run: str | None = None, against: str | None = None) -> "Report":
        """Write an HTML page about a run, into a folder; `against` compares it with another run."""
        from learner.reporting.report import write_report

        return write_report(self._work.registry, Path(out), run=run, against=against, progress=self._work.progress)

    def explain(self, out: str | Path, *, images: Iterable[int] = (), **options: Any) -> "Explanation":
        """Draw Grad-CAM heat maps for the class or the lesion, into a folder.

        Args:
            out: the folder.
            images: numbers of the images; none for those of a split.
            options: further fields of `learner.reporting.explain.ExplainRequest`.
        """
        from learner.reporting.explain import ExplainRequest, explain_images

        request = ExplainRequest(image_ids=tuple(images), **options)
        return explain_images(self._work.registry, Path(out), request, progress=self._work.progress)

    def export_model(
        self, out: str | Path, *, layout: str = "onnx", run: str | None = None, force: bool = False
    ) -> "ModelExportReport":
        """Write a run's model for use elsewhere, with a model card beside it.

        Args:
            out: file to write; with `safetensors` a folder.
            layout: `onnx`, `torchscript` or `safetensors`.
            run: its name, None for the newest finished one.
            force: write over an earlier export.
        """
        from learner.export.export_model import ModelExportRequest, export_model
        from learner.export.places import ExportFormat
        from learner.export.source import source_of_run

        request = ModelExportRequest(Path(out), ExportFormat(layout), force)
        return export_model(source_of_run(self._work.registry, run), request, progress=self._work.progress)

    def bench(self, table: str, **budget: Any) -> "BenchResult":
        """Train and test every method of one of the paper's tables.

        Args:
            table: `table3` to `table10`, `fig6` to `fig11`, `overview`, `modules` or `shares`.
            budget: fields of `learner.bench.bench.Budget`: seeds, folds, preset, overrides.
        """
        from learner.bench.bench import Budget, run_table

        return run_table(self._work.registry, table, Budget(**budget), progress=self._work.progress)

    # --- people

    def connect(self, url: str, *, title: str | None = None, masks: bool = False) -> "ConnectionRecord | None":
        """Find or create the Label Studio project that `push` and `pull` work with.

        The token comes from PARTLY_LABEL_STUDIO_TOKEN, the keyring, or the local server's own account.
        """
        with self._work.client(url, is_typed=True) as client:
            return self._work.connect(client, title=title, masks=masks).connection

    def push(self, *, dry_run: bool = False, **options: Any) -> "PushReport":
        """Send images to Label Studio as tasks, with pending proposals as predictions.

        Args:
            dry_run: only say what would be sent.
            options: fields of `annotator.label_studio.push.plan.PushRequest`, such as `what="partly"` and `limit`.
        """
        from annotator.label_studio.push.plan import PushRequest
        from annotator.label_studio.push.push_images import push_images

        request = PushRequest(**{"file_names": self._work.settings.file_names, **options})
        with self._work.connected_client() as client:
            folder = self._work.media_folder(client.url)
            return push_images(
                self._work.registry, client, request, media_folder=folder, dry_run=dry_run, progress=self._work.progress
            )

    def pull(self, *, dry_run: bool = False, **options: Any) -> "PullReport":
        """Pull reviews (drawn, accepted, edited, rejected) into the registry.

        Args:
            dry_run: only say what would be stored.
            options: fields of `annotator.label_studio.pull.plan.PullRequest`, such as `policy="majority"`.
        """
        from annotator.label_studio.pull.plan import PullRequest
        from annotator.label_studio.pull.pull_reviews import pull_reviews

        request = PullRequest(
            **{"empty_is_none": self._work.settings.empty_is_none, "author": self._work.user, **options}
        )
        with self._work.connected_client() as client:
            return pull_reviews(self._work.registry, client, request, dry_run=dry_run, progress=self._work.progress)

    def round(
        self,
        *,
        preset: str = "default",
        limit: int | None = None,
        audit_share: float = 0.1,
        query: "QueryRequest | None" = None,
        **settings: Any,
    ) -> "RoundResult":
        """Pull, train on all that is known, propose, and push the proposals, or the images of a query.

        Args:
            preset: `default` or `paper`.
            limit: largest number of new tasks.
            audit_share: share of them that are random validation images, sent without a proposal; a query has its own.
            query: what a query is to choose, see `partly.requests`; None: what is pushed are the proposals that
                pass the gate.
            settings: of the training, as in `train`.
        """
        from annotator.label_studio.pull.plan import PullRequest
        from annotator.label_studio.push.plan import PushRequest
        from cli.workflows.round import RoundRequest, run_round
        from learner.config import make_config

        config = make_config(preset, {**self._work.settings.train, **settings})
        pull = PullRequest(empty_is_none=self._work.settings.empty_is_none, author=self._work.user)
        share = audit_share if query is None else 0.0
        push = PushRequest(limit=limit, audit_share=share, file_names=self._work.settings.file_names)
        with self._work.connected_client() as client:
            folder = self._work.media_folder(client.url)
            request = RoundRequest(config, pull=pull, push=push, query=query)
            return run_round(self._work.registry, client, request, media_folder=folder, progress=self._work.progress)
