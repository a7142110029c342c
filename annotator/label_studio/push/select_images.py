"""Which images a push is about, as the registry knows them: those with a proposal, of a query, or all of a kind."""

from collections.abc import Mapping

from annotator.label_studio.push.audit import audit_candidates
from annotator.label_studio.push.order import is_chosen
from annotator.label_studio.push.plan import PushRequest
from db.curation.leakage import group_names
from db.errors import NotFound
from db.records import ImageRecord, ProposalRecord, Split, TaskLink
from db.records.asked import Part
from db.records.images import OUTSIDE_TEST, PROPOSED_FOR
from db.registry import Transaction


def waiting_for_audit(tx: Transaction, with_task: set[int]) -> list[ImageRecord]:
    """Return validation images for the audit, in order; those of `with_task` have a task, or get one anyway."""
    unknown = tx.images.select(splits=[Split.VAL], located=False)
    if not unknown:
        return []
    located = {image.id for image in tx.images.select(splits=[Split.VAL], located=True)}
    return audit_candidates(unknown, group_names(tx), located | with_task)


def selected_images(
    tx: Transaction, request: PushRequest, links: Mapping[int, TaskLink]
) -> tuple[list[ImageRecord], dict[int, ProposalRecord]]:
    """Return the images that a push without a query is about, and the proposals that they are sent with."""
    # Of those without a task the surest come first, so this many are always enough.
    enough = request.limit + len(links) if request.limit is not None else None
    waiting = tx.proposals.pending(limit=enough)
    if enough is not None:
        waiting += tx.proposals.pending_for(links)
    proposals = {proposal.image_id: proposal for proposal in waiting}
    if request.what == "proposals":
        return tx.images.select(splits=PROPOSED_FOR, ids=proposals), proposals
    located = False if request.what == "partly" else None
    images = tx.images.select(splits=PROPOSED_FOR, located=located, limit=enough)
    further = set(proposals) - {image.id for image in images}
    images += tx.images.select(splits=PROPOSED_FOR, located=located, ids=further)
    share = len(images) / max(1, tx.images.count(splits=PROPOSED_FOR, located=located))
    val = tx.images.select(splits=[Split.VAL], located=located)
    if images and share < 1:
        # As large a share of them, and a random one: those registered first would be no random ones.
        val = [image for image in val if image.id in links or is_chosen(image, "validation", share)]
    return images + val, proposals


def queried_images(tx: Transaction) -> tuple[list[ImageRecord], dict[int, ProposalRecord], frozenset[int]]:
    """Return the images of the newest query that are still open, their proposals, and which are its audit.

    A query about labels that may be wrong is about located images, too.

    Raises:
        NotFound: no query was ever made.
    """
    query = tx.asked.latest()
    if query is None:
        raise NotFound("no query has been made yet; choose images to ask about with: partly query --budget 50")
    parts = {question.image: question.part for question in query.questions}
    located = None if query.about_labels else False
    images = tx.images.select(splits=OUTSIDE_TEST, ids=parts, located=located)
    proposals = {item.image_id: item for item in tx.proposals.pending_for(image.id for image in images)}
    return images, proposals, frozenset(image for image, part in parts.items() if part is Part.AUDIT)
