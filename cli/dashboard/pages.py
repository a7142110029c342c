"""What each page shows, read from the registry: one reading transaction a page, and nothing is written."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from annotator.review_statistics import summarize_reviews
from cli.dashboard.filters import address, filter_from, number_in
from cli.dashboard.overlays import Layer, known_layer, mask_layer, proposal_layer
from cli.workflows.next_steps import Step, next_steps
from cli.workflows.run_list import summarize_run
from db.errors import NotFound
from db.records import ImageRecord, ProposalRecord, Split, Supervision
from db.records.images import ImageFilter
from db.registry import Registry, Transaction
from learner.query.rounds import list_rounds

PAGE = 60
"""Images of a page."""
QUEUE = 20
"""Proposals of the queue that are listed."""
OLD_S = 5.0
"""Seconds for which what to do next is kept: it is worked out from everything."""
SUPERVISED = {
    Supervision.FULLY: "class and location known",
    Supervision.PARTLY: "class known, location unknown",
    Supervision.UNLABELED: "class unknown",
}

Context = dict[str, Any]
"""What a template is given."""


@dataclass(frozen=True, slots=True)
class Tile:
    """An image in a list."""

    record: ImageRecord
    proposal: ProposalRecord | None
    layers: tuple[Layer, ...]
    address: str


def overview(registry: Registry) -> Context:
    """Read the state of the registry, and what is certified about the newest run."""
    run, certificates = None, []
    with registry.read() as tx:
        counts = tx.status.count()
        with suppress(NotFound):
            record = tx.runs.latest()
            run = summarize_run(record)
            certificates = list(tx.certificates.of_run(record.id).values())
    total = max(counts.images["total"], 1)
    parts = [
        (kind, words, counts.images[kind], 100 * counts.images[kind] / total) for kind, words in SUPERVISED.items()
    ]
    return {"counts": counts, "parts": parts, "run": run, "certificates": certificates}


class NextSteps:
    """What to do next, which takes longer to work out than a page may."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._found: tuple[float, list[Step]] | None = None

    def __call__(self) -> list[Step]:
        """Return what to do next, as it was a few seconds ago at most."""
        found = self._found
        if found is None or time.monotonic() - found[0] > OLD_S:
            found = self._found = (time.monotonic(), next_steps(self._registry))
        return found[1]


def rounds(registry: Registry) -> Context:
    """Read the rounds so far."""
    return {"rounds": list_rounds(registry)}


def review(registry: Registry) -> Context:
    """Read the queue and what became of what was in it."""
    return {"found": summarize_reviews(registry, limit=QUEUE)}


def runs(registry: Registry) -> Context:
    """Read all runs, newest first, with their certificates."""
    with registry.read() as tx:
        records = tx.runs.all()[::-1]
        certificates = {record.name: list(tx.certificates.of_run(record.id).values()) for record in records[:QUEUE]}
    return {"runs": [summarize_run(record) for record in records], "certificates": certificates}


def images(registry: Registry, query: Mapping[str, str]) -> Context:
    """Read a page of the images that a query asks for.

    Raises:
        InvalidArgument: the query says what cannot be asked.
    """
    wanted = filter_from(query)
    after, before = number_in(query, "after"), number_in(query, "before")
    with registry.read() as tx:
        ids, has_earlier, has_later = _page(tx, wanted, after, before)
        total = tx.listing.count(wanted)
        records = tx.images.select(ids=ids)
        pending = {item.image_id: item for item in tx.proposals.pending_for(ids)}
        choices = {
            "class": tx.images.class_names(),
            "split": [*map(str, Split), "none"],
            "supervision": [*map(str, Supervision)],
            "run": [record.name for record in tx.runs.all()],
            "reviewer": tx.listing.reviewers(),
        }
    return {
        "tiles": [_tile(record, pending.get(record.id), query) for record in records],
        "total": total,
        "choices": choices,
        "query": query,
        "is_filtered": wanted != ImageFilter(),
        "earlier": address("/images", query, before=ids[0]) if has_earlier else None,
        "later": address("/images", query, after=ids[-1]) if has_later else None,
    }


def _page(tx: Transaction, wanted: ImageFilter, after: int | None, before: int | None) -> tuple[list[int], bool, bool]:
    """Return the numbers of a page's images, and whether there are others before and after it."""
    if before is not None:
        found = tx.listing.page_before(wanted, before=before, limit=PAGE + 1)
        ids = found[-PAGE:]
        return ids, len(found) > PAGE, bool(ids) and bool(tx.listing.page(wanted, after=ids[-1], limit=1))
    found = tx.listing.page(wanted, after=after or 0, limit=PAGE + 1)
    ids = found[:PAGE]
    # On the first page nobody has to look.
    has_earlier = bool(ids) and after is not None and bool(tx.listing.page_before(wanted, before=ids[0], limit=1))
    return ids, has_earlier, len(found) > PAGE


def _tile(record: ImageRecord, proposal: ProposalRecord | None, query: Mapping[str, str]) -> Tile:
    known = known_layer(record)
    proposed = proposal_layer(proposal, is_pending=True) if proposal is not None else None
    layers = tuple(layer for layer in (known, proposed) if layer is not None)
    return Tile(record, proposal, layers, address(f"/images/{record.id}", query))


def image(registry: Registry, image_id: int, query: Mapping[str, str]) -> Context:
    """Read everything about one image, and which ones come before and after it under the query.

    Raises:
        NotFound: there is no such image; InvalidArgument: the query says what cannot be asked.
    """
    wanted = filter_from(query)
    with registry.read() as tx:
        record = tx.images.get(image_id)
        proposals = sorted(tx.proposals.of_image(image_id), key=lambda item: -item.run_id)
        pending = {item.id for item in tx.proposals.pending_for([image_id])}
        png = (
            tx.labels.mask_pngs([record.label.id])[record.label.id] if record.label and record.label.has_mask else None
        )
        events = tx.history.of_image(image_id)
        pairs = tx.duplicates.pairs([image_id])
        earlier = tx.listing.page_before(wanted, before=image_id, limit=1)
        later = tx.listing.page(wanted, after=image_id, limit=1)
    layers = [known_layer(record), mask_layer(png) if png is not None else None]
    layers += [proposal_layer(item, is_pending=item.id in pending) for item in proposals]
    return {
        "record": record,
        "layers": [layer for layer in layers if layer is not None],
        "proposals": [(item, item.id in pending) for item in proposals],
        "events": events,
        "look_alikes": [(a if b == image_id else b, correlation) for a, b, correlation in pairs],
        "earlier": address(f"/images/{earlier[0]}", query) if earlier else None,
        "later": address(f"/images/{later[0]}", query) if later else None,
        # The list begins with the image itself.
        "up": address("/images", query, after=image_id - 1) if image_id > 1 else address("/images", query),
    }
