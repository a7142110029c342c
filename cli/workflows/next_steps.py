"""What to do next in a project, and why: worked out from what the registry knows."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from db.errors import NotFound
from db.plain_text import counted
from db.records import RunStatus, Split
from db.records.images import PROPOSED_FOR
from db.registry import Registry
from learner.training.lease import is_alive

FEWEST_JUDGED = 20
"""Known locations in validation below which it is no use to certify a threshold: half of the images may choose the
epoch, and of the others each would have to be right."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do."""

    command: str
    why: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What advice rests on."""

    images: int = 0
    classes: int = 0
    located: int = 0
    validation: int = 0
    judged: int = 0
    """Images in validation whose location is known."""
    pool: int = 0
    """Images outside validation and test whose location is not known."""
    run: str | None = None
    """The newest finished one."""
    interrupted: str | None = None
    """A newer run that nobody is training any more."""
    running: str | None = None
    """A run that is being trained."""
    stale: bool = False
    """Something has changed since the newest run was trained."""
    pending: int = 0
    """Proposals that wait for review."""
    unsent: int = 0
    """Of these, those whose image has no task."""
    proposed: bool = False
    """The newest run has proposed something, or was found not to be sure enough."""
    uncertified: bool = False
    """The newest run has proposed nothing, for want of a certified threshold."""
    connected: bool = False
    studio_runs: bool = False
    """The local Label Studio does, and the project is not connected."""
    tasks: int = 0
    """Of images whose location is not known."""


def next_steps(registry: Registry, studio_runs: Callable[[], bool] = lambda: False) -> list[Step]:
    """Say what to do next in a project, the most pressing thing first.

    Args:
        registry: the project's.
        studio_runs: says whether the local Label Studio does; asked only where that counts.
    """
    return list(advise(gather_facts(registry, studio_runs)))


def gather_facts(registry: Registry, studio_runs: Callable[[], bool] = lambda: False) -> Facts:
    """Read from a registry what advice rests on; arguments as in `next_steps`."""
    with registry.read() as tx:
        counts = tx.status.count()
        unknown = set(tx.images.ids(located=False))
        pool = tx.images.count(splits=PROPOSED_FOR, located=False)
        runs = [run for run in tx.runs.all() if not run.is_of_bench]
        finished = next((run for run in reversed(runs) if run.status is RunStatus.FINISHED), None)
        open_runs = [run for run in runs if run.status is RunStatus.RUNNING and (not finished or run.id > finished.id)]
        pending = tx.proposals.pending()
        waiting = {item.image_id for item in pending}
        linked: set[int] | None = None
        with suppress(NotFound):
            linked = set(tx.connections.links(tx.connections.current().id))
        stale = finished is not None and tx.snapshots.take(store=False).hash != finished.snapshot
        # What waits is at hand; the other two are asked for where nothing of the run does.
        proposed = finished is not None and bool(
            any(item.run_id == finished.id for item in pending) or tx.proposals.of_run(finished.id)
        )
        certificates = tx.certificates.history(finished.id) if finished is not None and not proposed else []
        judged = tx.images.count(splits=[Split.VAL], located=True)
    alive = next((run.name for run in open_runs if is_alive(run)), None)
    return Facts(
        images=counts.images["total"],
        classes=len(counts.classes),
        located=counts.locations["present"] + counts.locations["confirmed_empty"],
        validation=counts.splits["val"],
        judged=judged,
        pool=pool,
        run=finished.name if finished is not None else None,
        interrupted=next((run.name for run in reversed(open_runs) if not is_alive(run)), None),
        running=alive,
        stale=stale,
        pending=len(waiting),
        unsent=len(waiting - (linked or set())),
        proposed=proposed or any(one.tau is not None for one in certificates),
        uncertified=bool(certificates) and all(one.tau is None for one in certificates),
        connected=linked is not None,
        studio_runs=linked is None and studio_runs(),
        tasks=len((linked or set()) & unknown),
    )


def advise(facts: Facts) -> Iterator[Step]:
    """Say what to do next, the most pressing thing first; pure."""
    if not facts.images:
        yield Step("partly import PATH", "no images are registered yet; each needs a class, and some boxes or masks")
        return
    if not facts.classes:
        yield Step("partly set IMAGE... --class NAME", "no image has a class; or import a table with a class column")
        return
    if facts.running is not None:
        yield Step("partly runs", f"{facts.running} is being trained")
    elif facts.interrupted is not None:
        yield Step("partly train --resume", f"{facts.interrupted} was interrupted")
        return
    if facts.run is None and not facts.located:
        yield from _ask(facts, "no location is known yet, and a network needs some; people draw the first ones")
    elif facts.run is None:
        if not facts.validation:
            yield Step("partly split --val 0.15 --test 0.15", "no image is held out to evaluate a network on")
        if facts.running is None:
            yield Step("partly train", f"{counted(facts.located, 'location')} to learn from, and no run yet")
    elif facts.stale and facts.running is None:
        retrain = "partly round" if facts.connected else "partly train"
        yield Step(retrain, f"labels, classes or splits have changed since {facts.run} was trained")
    elif facts.pending:
        yield from _review(facts)
    elif facts.pool and not facts.proposed:
        yield _propose(facts)
    elif facts.pool:
        left = f"{counted(facts.pool, 'image')} without a location"
        yield from _ask(facts, f"{facts.run} has no sure proposal left for {left}")
    else:
        yield Step("partly report", "every image to train on has a location; see how good the newest run is")


def _propose(facts: Facts) -> Step:
    why = f"{facts.run} may find the location in {counted(facts.pool, 'image')}"
    if facts.uncertified:
        return Step("partly propose --tau 0.8", f"{why}; no threshold could be certified; this one promises nothing")
    if facts.judged < FEWEST_JUDGED:
        few = counted(
            facts.judged,
            "validation image with a known location is",
            "validation images with a known location are",
        )
        return Step("partly propose --tau 0.8", f"{why}; {few} too few to certify a threshold")
    return Step("partly propose --tau auto", why)


def _review(facts: Facts) -> Iterator[Step]:
    why = counted(facts.pending, "proposal waits for review", "proposals wait for review")
    if not facts.connected:
        yield from _connect(facts, why)
        return
    if facts.unsent:
        yield Step("partly push", f"{counted(facts.unsent, 'proposal')} not yet in Label Studio")
    else:
        yield Step("partly open", why)
        yield Step("partly pull", "once somebody has reviewed some")


def _ask(facts: Facts, why: str) -> Iterator[Step]:
    if not facts.connected:
        yield from _connect(facts, why)
        return
    if facts.tasks:
        yield Step("partly open", f"{counted(facts.tasks, 'task')} without a location")
        yield Step("partly pull", "once somebody has drawn some")
        return
    yield Step("partly query --budget 50", why)
    yield Step("partly push --query", "sends what was chosen")


def _connect(facts: Facts, why: str) -> Iterator[Step]:
    if facts.studio_runs:
        yield Step("partly connect", f"{why}, in the local Label Studio; a server of your team's: partly connect URL")
        return
    yield Step("partly studio start", f"{why}, in Label Studio; a server of your team's: partly connect URL")
    yield Step("partly connect", "the project then has a Label Studio project of its own")
