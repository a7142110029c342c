"""Finds problems in a registry: duplicates, conflicting classes, leaks between splits, files missing or changed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from db.atomic_write import left_behind
from db.curation.duplicates import add_missing_fingerprints, find_near_duplicates
from db.curation.groups import group_images
from db.errors import ImageUnreadable
from db.imaging.decode import read_facts
from db.imaging.paths import CACHE
from db.plain_text import counted
from db.progress import Progress, SilentProgress
from db.records import ImageRecord, Split
from db.registry import Registry

EXACT = "exact_duplicates"
NEAR = "near_duplicates"
CONFLICT = "class_conflict"
LEAK = "split_leak"
MISSING = "missing_file"
CHANGED = "changed_file"
QUESTIONED = "class_questioned"
LEFTOVER = "leftover_draft"

Pair = tuple[int, int, float]
"""Two near-duplicates: smaller image id, larger image id, correlation."""

SMALL_SHARE = 0.2
"""A near-duplicate group larger than this share of all images suggests uniform images rather than copies."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem that a person should look at."""

    kind: str
    images: list[ImageRecord]
    detail: str
    pairs: list[Pair] = field(default_factory=list)
    """Near-duplicates among them, as (image id, image id, correlation)."""


def find_problems(registry: Registry, *, verify_files: bool = False, progress: Progress | None = None) -> list[Finding]:
    """Check the whole registry for problems.

    Args:
        registry: the registry; images not yet compared with the others are compared now.
        verify_files: read every file and compare its content, instead of only checking that it exists.
        progress: receives progress updates.
    """
    add_missing_fingerprints(registry, progress=progress)
    find_near_duplicates(registry, progress=progress)
    with registry.read() as tx:
        images = {image.id: image for image in tx.images.select()}
        pairs = tx.duplicates.pairs()
        questioned = tx.reviews.questioned_classes()
    return [
        *_questioned([images[image_id] for image_id in questioned if image_id in images]),
        *_duplicates(images, pairs),
        *_class_conflicts(images, pairs),
        *_leaks(images, pairs),
        *_lost_files(list(images.values()), verify_files, progress or SilentProgress()),
        *_leftovers(registry),
    ]


def _questioned(images: Sequence[ImageRecord]) -> list[Finding]:
    return [
        Finding(
            QUESTIONED,
            [image],
            f"its latest review says that the class {image.class_name!r} is wrong; to correct it: "
            f"partly set {image.id} --class NAME",
        )
        for image in images
    ]


def _duplicates(images: Mapping[int, ImageRecord], pairs: Sequence[Pair]) -> list[Finding]:
    findings = []
    by_content: dict[str, list[ImageRecord]] = defaultdict(list)
    for image in images.values():
        by_content[image.content_hash].append(image)
    for same in by_content.values():
        if len(same) > 1:
            findings.append(Finding(EXACT, same, f"{len(same)} files with the same content"))
    by_first = _by_first(pairs)
    for members in _look_alikes(images, pairs):
        inside = _pairs_inside(members, by_first)
        lowest, highest = min(pair[2] for pair in inside), max(pair[2] for pair in inside)
        detail = (
            f"{len(members)} near-identical images: {counted(len(inside), 'pair')}, correlation "
            f"{lowest:.3f} to {highest:.3f}"
        )
        if len(members) > max(10, SMALL_SHARE * len(images)):
            detail += "; a group this large may be the frames of one video, or images that merely look alike"
        findings.append(Finding(NEAR, [images[key] for key in members], detail, inside))
    return findings


def _look_alikes(
    images: Mapping[int, ImageRecord], pairs: Sequence[Pair], *, exact_too: bool = False
) -> list[list[int]]:
    facts = [(image.id, None, image.content_hash if exact_too else str(image.id)) for image in images.values()]
    groups = group_images(facts, [(first, second) for first, second, _ in pairs])
    return [ids for ids in groups.distinct() if len(ids) > 1]


def _pairs_inside(members: Sequence[int], pairs: Mapping[int, Sequence[Pair]]) -> list[Pair]:
    """Return the pairs of a group; both sides of a pair are always in the same group."""
    return [pair for key in members for pair in pairs.get(key, ())]


def _by_first(pairs: Sequence[Pair]) -> dict[int, list[Pair]]:
    found: dict[int, list[Pair]] = defaultdict(list)
    for pair in pairs:
        found[pair[0]].append(pair)
    return found


def _class_conflicts(images: Mapping[int, ImageRecord], pairs: Sequence[Pair]) -> list[Finding]:
    findings = []
    by_first = _by_first(pairs)
    for members in _look_alikes(images, pairs, exact_too=True):
        classes = sorted({images[key].class_name for key in members} - {None}, key=str)
        if len(classes) > 1:
            inside = _pairs_inside(members, by_first)
            crossing = [pair for pair in inside if images[pair[0]].class_name != images[pair[1]].class_name]
            detail = f"near-identical images have different classes: {' and '.join(str(name) for name in classes)}"
            findings.append(Finding(CONFLICT, [images[key] for key in members], detail, crossing))
    return findings


def _leaks(images: Mapping[int, ImageRecord], pairs: Sequence[Pair]) -> list[Finding]:
    groups = group_images(
        [(image.id, image.group, image.content_hash) for image in images.values()],
        [(first, second) for first, second, _ in pairs],
    )
    findings = []
    for members in groups.distinct():
        splits = {images[key].split for key in members}
        held_back = [split for split in (Split.TEST, Split.VAL) if split in splits]
        if held_back and len(splits) > 1:
            parts = [
                f"{sum(images[key].split is split for key in members)} in {split or 'no split'}"
                for split in sorted(splits, key=str)
            ]
            detail = f"one patient, video or picture in several splits: {', '.join(parts)}; to repair: partly split"
            findings.append(Finding(LEAK, [images[key] for key in members], detail))
    return findings


def _leftovers(registry: Registry) -> list[Finding]:
    """Find what killed processes left half-written: beside the registry, in the folders of runs and in the cache."""
    runs, cache = registry.root / "runs", registry.root / CACHE
    folders = [registry.root, runs, *runs.glob("run-*"), *cache.glob("*")]
    return [
        Finding(LEFTOVER, [], f"{draft}: a partial file left by a killed process; delete it")
        for folder in folders
        for draft in left_behind(folder)
    ]


def _lost_files(images: Sequence[ImageRecord], verify: bool, progress: Progress) -> list[Finding]:
    findings = []
    with progress.task("checking files", len(images)) as task, ThreadPoolExecutor() as pool:
        for image, found in zip(images, pool.map(lambda image: _file_problem(image, verify), images), strict=True):
            if found is not None:
                findings.append(Finding(found[0], [image], found[1]))
            task.advance()
    return findings


def _file_problem(image: ImageRecord, verify: bool) -> tuple[str, str] | None:
    try:
        if not verify:
            there = image.path.exists()
            return None if there else (MISSING, "the file is missing; import it again from its new location")
        (facts,) = read_facts(image.path, fresh=True)
    except ImageUnreadable as exc:
        return MISSING, exc.reason
    if facts.content_hash != image.content_hash:
        return CHANGED, "the file's content has changed since it was registered; save the new image under a new name"
    return None
