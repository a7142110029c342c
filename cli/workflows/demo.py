"""The main job from nothing: a quarter of the boxes, train, propose, review in Label Studio, pull, retrain, compare.

Everything goes through the use-cases that the commands call. The only thing simulated is the person, who submits
annotations through Label Studio's own API, knowing the truth.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from annotator.datasets.decode import open_entry
from annotator.datasets.formats.supported import read_layout
from annotator.datasets.import_images import import_listing
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.listing.entries import Entry, Listing, Refusal
from annotator.datasets.phantoms import write_phantoms
from annotator.errors import LabelStudioError
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.local_server import StudioPaths, read_account, start_studio
from annotator.label_studio.ownership import free_title
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from annotator.label_studio.simulated_reviewer import Truth, review_tasks
from db.curation.splitting import split_images
from db.plain_text import counted
from db.progress import Progress
from db.records import Split
from db.registry import Registry
from learner.config import TrainConfig, make_config
from learner.evaluation.evaluate import Evaluation, evaluate_run
from learner.inference.propose import ProposeResult, propose_locations
from learner.reporting.drawing import Panel, draw_page
from learner.training.train import train_model
from learner.training.train_once import warmed_where_sound

PHANTOMS = 320
KEPT_LOCATIONS = 0.25
HELD_BACK = 0.2
PHANTOM_SETTINGS = {"size": 96, "stage1_epochs": 8, "stage2_epochs": 16}
REAL_SETTINGS = {"size": 128}
PICTURES = 12


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demonstration found out."""

    before: Evaluation
    after: Evaluation
    proposed: int
    tasks: int
    reviewed: dict[str, int]
    pulled: dict[str, int]
    picture: Path
    address: str
    username: str
    seconds: float


def hold_back(entries: Sequence[Entry], *, share: float, seed: int) -> list[Entry]:
    """Put a share of the entries into test, stratified by class; a data set that has a test split keeps it."""
    if any(entry.split is Split.TEST for entry in entries):
        return list(entries)
    by_class: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        by_class[entry.class_name or ""].append(entry.name)
    held: set[str] = set()
    for class_name, names in by_class.items():
        held.update(Random(f"{seed}/hold back/{class_name}").sample(sorted(names), round(share * len(names))))
    return [replace(entry, split=Split.TEST) if entry.name in held else entry for entry in entries]


def run_demo(
    registry: Registry,
    studio: StudioPaths,
    *,
    data: Path | None,
    title: str,
    overrides: Mapping[str, Any],
    seed: int,
    progress: Progress,
) -> DemoResult:
    """Run the loop once in a fresh project.

    Args:
        registry: an empty one.
        studio: the local Label Studio; left running, so that a person can look.
        data: real images in the `csv` layout; None for phantoms.
        title: of the project in Label Studio; a number is appended if there is one.
        overrides: settings of the two trainings.
        seed: of everything random.
        progress: where to show how far it is.
    """
    started = time.monotonic()
    say = _narrator(progress)
    usual = PHANTOM_SETTINGS if data is None else REAL_SETTINGS
    if "epochs" in overrides:
        usual = {key: value for key, value in usual.items() if not key.endswith("_epochs")}
    # An unknown setting is refused before anything is drawn.
    config = make_config("default", {"seed": seed, **usual, **overrides})
    folder = data
    if folder is None:
        say("drawing phantoms")
        folder = write_phantoms(registry.root / "phantoms", PHANTOMS, seed=seed).parent
    listing = read_layout("csv", folder)
    say(f"registering {len(listing.entries)} images with a quarter of the locations; {HELD_BACK:.0%} held out")
    truths = register(registry, listing, seed=seed, progress=progress)
    # First of all, so that what is wrong with the server is known before minutes of training.
    status = start_studio(studio, progress=progress)
    account = read_account(studio)
    if status.url is None or account is None:
        raise LabelStudioError("the local Label Studio is not running; see: partly studio status")
    with LabelStudioClient(status.url, account.token) as client:
        request = ConnectRequest(title=free_title(client, title))
        project_id = connect_project(registry, client, request, media_folder=studio.media).project_id
        before = _train(registry, config, say, progress, "training on what is known")
        proposals = propose_locations(registry, progress=progress)
        say(f"{counted(proposals.proposed, 'proposal')} above tau = {proposals.tau}")
        picture = _draw(registry, proposals, truths)
        pushed = push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media, progress=progress)
        say(
            f"{counted(pushed.created, 'task')} in Label Studio, {pushed.predictions} with a proposal; a "
            f"simulated person reviews"
        )
        reviewed = review_tasks(client, project_id, truths, progress=progress)
        pulled = pull_reviews(registry, client, progress=progress)
    say(f"pulled: {', '.join(f'{count} {name}' for name, count in pulled.outcomes.items())}")
    again = warmed_where_sound(registry, config, progress)
    after = _train(registry, again, say, progress, "training again with what was reviewed")
    return DemoResult(
        before=before,
        after=after,
        proposed=proposals.proposed,
        tasks=pushed.created,
        reviewed=reviewed,
        pulled=pulled.outcomes,
        picture=picture,
        address=f"{status.url}/projects/{project_id}",
        username=account.username,
        seconds=time.monotonic() - started,
    )


def _narrator(progress: Progress) -> Callable[[str], None]:
    return lambda text: progress.say(f"-- {text}")


def register(registry: Registry, listing: Listing, *, seed: int, progress: Progress) -> dict[str, Truth]:
    """Register the data with a quarter of its locations, and return what the simulated person knows of the rest."""
    entries = hold_back(listing.entries, share=HELD_BACK, seed=seed)
    held = Listing(entries, listing.refusals, warnings=listing.warnings)
    request = ImportRequest("demo", "csv", keep_locations=KEPT_LOCATIONS, seed=seed)
    import_listing(registry, held, request, progress=progress)
    split_images(registry, val=0.15 * (1 - HELD_BACK), seed=seed)
    with registry.read() as tx:
        images = {str(image.path): image for image in tx.images.select(located=False)}
    truths: dict[str, Truth] = {}
    for entry in entries:
        image = images.get(str(entry.path))
        opened = open_entry(entry) if image is not None else None
        if image is None or opened is None or isinstance(opened, Refusal):
            continue
        for known in opened:
            if known.location is not None:
                truths[image.key] = Truth(image, known.location)
    return truths


def _train(
    registry: Registry, config: TrainConfig, say: Callable[[str], None], progress: Progress, what: str
) -> Evaluation:
    say(what)
    train_model(registry, config, progress=progress)
    return evaluate_run(registry, split=Split.TEST, progress=progress)


def _draw(registry: Registry, proposals: ProposeResult, truths: Mapping[str, Truth]) -> Path:
    with registry.read() as tx:
        stored = tx.proposals.pending()
        images = {image.id: image for image in tx.images.select(ids=[proposal.image_id for proposal in stored])}
    # Evenly over all scores, so that the picture does not flatter.
    step = max(1, len(stored) // PICTURES)
    panels = [
        Panel(
            path=images[proposal.image_id].path,
            caption=f"{proposal.class_name} {proposal.class_probability:.2f}   score {proposal.score:.2f}",
            proposed=proposal.boxes,
            truth=truths[images[proposal.image_id].key].location.boxes,
        )
        for proposal in stored[::step][:PICTURES]
        if images[proposal.image_id].key in truths
    ]
    out = registry.root / "proposals.png"
    title = f"proposals of {proposals.run} (orange) and the ground truth (green), tau = {proposals.tau}"
    return draw_page(panels, out, title=title) if panels else out
