"""The typed ORM classes, private to db by subject.

Three facts about a location are kept apart by the schema itself: an image without a current label (unknown), a label
with status `empty`, and a label with status `present`, which alone may own boxes and a mask. Labels, proposals and
reviews are append-only: triggers in the migration refuse UPDATE and DELETE, and a new label takes the next `revision`
of its image, so that two writers can never both replace the same one.

What no program may forget is done by triggers too (db/migrations/triggers.py): an image points at the label that
holds, every change of an image leaves a row in image_versions, and the test split is frozen.
"""

from db.tables.asked import Query, QueryItem, Round
from db.tables.base import Base, now
from db.tables.history import Operation, RegistryIdentity, RetractedLabel, Retraction, Snapshot
from db.tables.images import Fingerprint, Image, ImageClass, ImageVersion, NearDuplicate, Thumbnail
from db.tables.labels import ClassLabel, LocationBox, LocationLabel, Mask
from db.tables.runs import Certificate, Proposal, ProposalBox, Run
from db.tables.sync import AttentionCheck, AttentionResponse, Connection, LabelStudioTask, Review, Sync, SyncStep

__all__ = [
    "APPEND_ONLY",
    "AttentionCheck",
    "AttentionResponse",
    "Base",
    "Certificate",
    "ClassLabel",
    "Connection",
    "Fingerprint",
    "Image",
    "ImageClass",
    "ImageVersion",
    "LabelStudioTask",
    "LocationBox",
    "LocationLabel",
    "Mask",
    "NearDuplicate",
    "Operation",
    "Proposal",
    "ProposalBox",
    "Query",
    "QueryItem",
    "RegistryIdentity",
    "RetractedLabel",
    "Retraction",
    "Review",
    "Round",
    "Run",
    "Snapshot",
    "Sync",
    "SyncStep",
    "Thumbnail",
    "now",
]

APPEND_ONLY = frozenset(
    {"location_labels", "location_boxes", "masks", "proposals", "proposal_boxes", "reviews", "image_versions"}
    | {"snapshots", "retractions", "retracted_labels", "catch_trials", "catch_reviews", "certificates", "class_labels"}
    | {"queries", "query_items", "rounds"}
)
"""Tables whose rows are never changed or deleted; the migrations carry triggers that refuse it."""
