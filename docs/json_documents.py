"""What every command prints with --json, as JSON Schema.

Most of a document is a record of a use-case; the keys that a command adds, or makes by itself, stand here. A command
that prints several kinds of document has one schema, any of them.
"""

from collections.abc import Callable
from typing import Any, Literal

from json_shapes import SNAPSHOT, SYNC, Keys, any_of, closed, json_type, keys_of, of_record, schema_of

from annotator.datasets.export_images import ExportReport
from annotator.datasets.import_report import ImportReport
from annotator.label_studio.local_server import StudioStatus
from annotator.label_studio.pull.plan import PullReport
from annotator.label_studio.push.push_images import PushReport
from annotator.label_studio.reconcile import Difference
from annotator.review_statistics import ReviewSummary
from cli.commands.round import PROPOSED, QUERIED
from cli.context import ReviewPage
from cli.exits import KINDS, OTHER_CODES
from cli.help.project_docs import ProjectDoc
from cli.help.setting_docs import SettingDoc
from cli.workflows.demo import DemoResult
from cli.workflows.next_steps import Step
from cli.workflows.predict import PredictReport
from cli.workflows.rounds_report import RoundsReport
from db.curation.doctor import Finding
from db.curation.listing import ListedImage
from db.history.retraction import RetractionReport
from db.history.snapshot_diff import Change
from db.history.undo import UndoReport
from db.records import RegistryStatus
from db.records.certificates import CertificateRecord
from db.records.history import Event, OperationRecord, RetractionRecord
from db.records.images import LocationStatus, Split
from learner.bench.bench import BenchPlan, BenchResult
from learner.evaluation.evaluate import Evaluation
from learner.export.export_model import ModelExportReport
from learner.export.model_card import CardReport
from learner.inference.propose import ProposeResult
from learner.query.plan_rounds import LoopPlan
from learner.query.query_images import QueryResult
from learner.query.rounds import RoundSummary
from learner.reporting.explain import Explanation
from learner.reporting.report import Report
from learner.simulation.simulate import SimulationResult
from learner.training.prepare import PlannedTraining
from learner.training.rehearsal.estimate import TrainingEstimate
from learner.training.rehearsal.seen import SeenImages
from learner.training.train import TrainResult

ERROR_FILE = "error.json"
TEXT, NUMBER = str | None, int | None
DRY: Keys = {"dry_run": bool}
WRITTEN, PLANNED = {"dry_run": Literal[False]}, {"dry_run": Literal[True]}
XYWH = list[tuple[float, float, float, float]]


def with_keys(record: type, name: str, keys: Keys, *, without: tuple[str, ...] = ()) -> Any:
    """Return the type of a record's document with further keys, or without some of its own."""
    own, optional, more = keys_of(record)
    kept = {key: kind for key, kind in own.items() if key not in without}
    return closed(name, kept | keys, optional=[key for key in optional if key in kept], more=more)


def _import() -> Any:
    parts = ("registered", "updated", "moved", "unchanged", "near_duplicates", "used", "unused", "not_used")
    own, _, _ = keys_of(ImportReport)
    refused = closed("Refusal", {"file": str, "reason": str}, about="What cannot be registered, and why.")
    more = ("warnings", "not_opened", "operation", "recognised")
    return closed("Import", {key: own[key] for key in (*parts, *more)} | {"refused": list[refused]} | DRY)


def _runs() -> Any:
    texts = dict.fromkeys(("run", "preset", "status", "begun", "snapshot", "state"), str)
    run = closed("Run", texts | {"auc": float | None, "iou": float | None}, about="A training run.")
    return closed("Runs", {"runs": list[run]})


def _show() -> Any:
    proposal = closed("Shown proposal", {"run": str, "score": float, "boxes": XYWH})
    image = closed(
        "Shown image",
        {
            "image": int, "path": str, "class": TEXT, "split": Split | None, "location": LocationStatus | None,
            "source": TEXT, "reviewer": TEXT, "boxes": XYWH, "proposal": proposal | None,
        },
    )  # fmt: skip
    return closed("Show", {"images": list[image], "picture": str})


def _changes() -> Any:
    image = closed("Changed image", {"image": int, "path": str})
    keys = {"images": list[image], "changed": int, "unchanged": int, "operation": NUMBER, "warnings": list[str]}
    return closed("Changes", keys | DRY)


def _connect() -> Any:
    texts = {"url": str, "user": str, "project": NUMBER, "title": str, "media": TEXT, "address": TEXT}
    return closed("Connect", texts | {"adopted": int} | DRY)


def _sync(report: type, name: str) -> Any:
    done = with_keys(report, name, DRY, without=("plan",))
    return any_of(done, with_keys(report, f"{name}, planned", DRY))


def _round() -> Any:
    counts = {
        report: with_keys(report, name, {}, without=("plan",))
        for report, name in ((PullReport, "Pulled"), (PushReport, "Pushed"))
    }
    proposed, _, _ = keys_of(ProposeResult)
    queried, _, _ = keys_of(QueryResult)
    return closed(
        "Round",
        {
            "pulled": counts[PullReport],
            "run": TEXT,
            "trained": bool,
            "proposed": closed("Proposed", {key: proposed[key] | None for key in PROPOSED}) | None,
            "queried": closed("Queried", {key: queried[key] for key in QUERIED}) | None,
            "pushed": counts[PushReport] | None,
        }
        | DRY,
    )


def _log() -> Any:
    keys = {"image": int, "path": str, "key": str, "class": TEXT, "split": Split | None}
    return closed("Log", keys | {"location": LocationStatus | None, "events": list[of_record(Event)]})


def _snapshots() -> Any:
    listed = closed("Snapshot with its runs", SNAPSHOT | {"runs": list[str]})
    return closed("Snapshots", {"snapshots": list[listed]})


def _diff() -> Any:
    keys = {"from": str, "to": str, "counts": dict[str, int], "changes": list[of_record(Change)]}
    return closed("Diff", keys)


def _journal() -> Any:
    return closed("Journal", {"syncs": list[closed("Sync with its steps left", SYNC | {"left": int})]})


def _caches() -> Any:
    keys = {"kind": str, "items": int, "bytes": int, "limit_bytes": NUMBER, "folder": str}
    return closed("Caches", {"caches": list[closed("Cache", keys)]} | DRY, optional=["dry_run"])


def _simulate() -> Any:
    replay = closed("Replay", {"strategy": str, "seed": int, "trainings": int})
    done = with_keys(SimulationResult, "Simulation", {"figure": str} | WRITTEN)
    return any_of(done, closed("Simulation, planned", {"replays": list[replay]} | PLANNED))


def _demo() -> Any:
    place = {"project": str, "data": str}
    return any_of(with_keys(DemoResult, "Demo", place | WRITTEN), closed("Demo, planned", place | PLANNED))


def _query() -> Any:
    strategy = closed("Strategy", {"strategy": str, "about": str, "needs": str})
    return any_of(of_record(QueryResult), closed("Strategies", {"strategies": list[strategy]}))


def _undo() -> Any:
    return any_of(of_record(UndoReport), closed("Operations", {"operations": list[of_record(OperationRecord)]}))


def _retract() -> Any:
    listed = closed("Retractions", {"retractions": list[of_record(RetractionRecord)]})
    return any_of(of_record(RetractionReport), listed)


def _status() -> Any:
    return with_keys(RegistryStatus, "Status", {"certificates": dict[str, of_record(CertificateRecord)]})


def _upgrade() -> Any:
    keys = {"from": str, "to": str, "upgraded": bool, "copy": TEXT}
    return closed("Upgrade", keys | DRY)


def _studio() -> Any:
    return with_keys(StudioStatus, "Studio", {"account_file": str, "log": str})


def _train() -> Any:
    done = with_keys(TrainResult, "Training", DRY)
    changed = closed("Changed setting", {"setting": str, "value": object, "source": str})
    seen = {"seen": list[of_record(SeenImages)], "estimate": of_record(TrainingEstimate)}
    planned = {"changed": list[changed]} | seen | PLANNED
    return any_of(done, with_keys(PlannedTraining, "Training, planned", planned))


def _evaluate() -> Any:
    keys, optional, more = keys_of(Evaluation)
    few = {"intervals": dict[str, tuple[float, float]], "warning": str}
    return closed("Evaluation", keys | few, optional=[*optional, *few], more=more)


def _settings() -> Any:
    one, _, _ = keys_of(SettingDoc)
    other, _, _ = keys_of(ProjectDoc)
    values = {"value": object, "source": str}
    setting = closed("Setting", {"setting": one.pop("key")} | one | values, about="A training setting.")
    around = closed("Surroundings", {"setting": other.pop("key")} | other, about="Any other setting.")
    keys = {"preset": str, "project": TEXT, "settings": list[setting], "surroundings": list[around]}
    return closed("Settings", keys)


DOCUMENTS: dict[str, Callable[[], Any]] = {
    "init": lambda: closed("Init", {"project": str, "created": bool} | DRY),
    "import": _import,
    "status": _status,
    "next": lambda: closed("Next", {"steps": list[of_record(Step)]}),
    "split": lambda: closed("Splits", {"splits": dict[str, int], "notes": list[str]} | DRY),
    "list": lambda: closed("List", {"images": list[of_record(ListedImage)], "total": int}),
    "show": _show,
    "doctor": lambda: closed("Findings", {"findings": list[any_of(of_record(Finding), of_record(Difference))]}),
    "remove": _changes,
    "set": _changes,
    "export": lambda: with_keys(ExportReport, "Export", {"out": str, "format": str} | DRY),
    "train": _train,
    "runs": _runs,
    "settings": _settings,
    "evaluate": _evaluate,
    "report": lambda: any_of(of_record(Report), of_record(RoundsReport)),
    "explain": lambda: of_record(Explanation),
    "propose": lambda: of_record(ProposeResult),
    "predict": lambda: of_record(PredictReport),
    "query": _query,
    "bench": lambda: any_of(with_keys(BenchResult, "Table", WRITTEN), with_keys(BenchPlan, "Table, planned", PLANNED)),
    "simulate": _simulate,
    "studio start": _studio,
    "studio status": _studio,
    "studio stop": lambda: closed("Stopped", {"stopped": bool} | DRY),
    "connect": _connect,
    "open": lambda: with_keys(ReviewPage, "Open", {"url": str, "project": int, "opened": bool}),
    "push": lambda: any_of(_sync(PushReport, "Push"), of_record(QueryResult)),
    "pull": lambda: any_of(
        _sync(PullReport, "Pull"),
        closed("Pulls, followed", {"pulls": int, "created": int, "updated": int, "withdrawn": int}),
    ),
    "model export": lambda: of_record(ModelExportReport),
    "model card": lambda: of_record(CardReport),
    "dashboard": lambda: closed("Dashboard", {"url": str, "pid": int}),
    "serve": lambda: closed("Serve", {"url": str, "run": str, "attached": bool}),
    "round": _round,
    "rounds": lambda: closed("Rounds", {"rounds": list[of_record(RoundSummary)]}),
    "plan": lambda: of_record(LoopPlan),
    "review": lambda: of_record(ReviewSummary),
    "journal": _journal,
    "log": _log,
    "snapshots": _snapshots,
    "diff": _diff,
    "undo": _undo,
    "retract": _retract,
    "demo": _demo,
    "db upgrade": _upgrade,
    "db check": lambda: closed("Check", {"sound": bool, "problems": list[str]}),
    "db backup": lambda: closed("Backup", {"file": str, "rows": dict[str, int]} | DRY),
    "db restore": lambda: closed("Restore", {"file": str, "rows": dict[str, int]} | DRY),
    "cache status": _caches,
    "cache clear": _caches,
    "cache limit": lambda: closed("Cache limit", {"limit_bytes": int} | DRY),
}
"""By command."""


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of every command's document, by command."""
    return {name: schema_of(json_type(make()), f"partly {name} --json") for name, make in DOCUMENTS.items()}


def error_schema() -> dict[str, Any]:
    """Return the JSON Schema of what any command prints in place of its document where it cannot do what was asked."""
    codes = sorted({kind.code for kind in KINDS} | set(OTHER_CODES))
    answer = closed("Answer", {"code": Literal[tuple(codes)], "message": str, "hint": TEXT})
    return schema_of(json_type(closed("Error", {"error": answer})), "partly --json, where it fails")


def file_of(command: str) -> str:
    """Return the name of the file that a command's schema is in."""
    return f"{command.replace(' ', '-')}.json"
