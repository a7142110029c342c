"""Which class an image has, where names stand beside boxes."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import PurePosixPath

from annotator.datasets.formats.names import BoxesAs
from annotator.datasets.listing.entries import BadEntry
from annotator.datasets.listing.options import FROM_FOLDER, ReadOptions
from annotator.datasets.listing.splits import split_named

NOT_CLASSES = frozenset(
    {"image", "images", "img", "imgs", "jpegimages", "mask", "masks", "label", "labels", "annotation", "annotations"}
    | {"segmentation", "segmentations", "segmentationclass", "ground_truth", "groundtruth", "gt", "data", "dataset"}
    | {"train", "training", "val", "valid", "validation", "test", "testing"}
)
"""What folders of data sets are called, and hardly any class."""


def class_of_folder(name: str) -> str | None:
    """Return the innermost folder of an image that can be a class."""
    parts = reversed(PurePosixPath(name.replace("\\", "/")).parts[:-1])
    return next((part for part in parts if not _is_no_class(part)), None)


def _is_no_class(part: str) -> bool:
    return part in ("..", ".", "/") or part.lower() in NOT_CLASSES or split_named(part) is not None


def image_class(
    named: Iterable[str | None], *, name: str, options: ReadOptions, said: str | None = None, what: str = "boxes"
) -> str | None:
    """Decide on an image's class.

    Args:
        named: what stands beside its boxes.
        name: of the image, relative to the data set.
        options: how boxes are read, and where classes come from.
        said: its class where the boxes do not say.
        what: what carries the names, for the message.

    Returns:
        The class, None where nothing says.

    Raises:
        BadEntry: the boxes name several.
    """
    if options.class_from == FROM_FOLDER:
        said = class_of_folder(name)
    if options.boxes_as is BoxesAs.LESION:
        return said
    classes = {text for text in named if text}
    if options.class_from is not None:
        return said
    if len(classes) > 1:
        raise BadEntry(
            f"its {what} name several classes ({', '.join(sorted(classes))}); an image has one class. To take every "
            "box as a location, whatever it is called: --boxes-as lesion"
        )
    if not classes:
        return said
    (named_class,) = classes
    # Formats spoil blanks and odd characters in names; a place that does not has them as they were.
    return said if said is not None and plain(said) == plain(named_class) else named_class


def plain(name: str) -> str:
    """Return a name as formats can write it: one line of printable characters, no blanks at its ends."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())


def class_beside(
    said: set[str],
    named: Iterable[str | None],
    *,
    name: str,
    options: ReadOptions,
    vocabulary: Iterable[str],
    note: Callable[[str, str], None] | None = None,
) -> str | None:
    """Decide on the class of an image that may be called something as a whole, beside what its boxes are called.

    Args:
        said: what the image is called.
        named: what stands beside its boxes.
        name: of the image, relative to the data set.
        options: how boxes are read, and where classes come from; a column or attribute has been looked up for `said` or
            `named` already.
        vocabulary: what images of this data set are called.
        note: is told the image, and why it has no class though its boxes have names.

    Raises:
        BadEntry: it is called several things, or is called otherwise than one of its boxes.
    """
    if len(said) > 1:
        raise BadEntry(f"the image itself has several classes ({', '.join(sorted(said))}); it can have only one")
    if options.class_from != FROM_FOLDER:
        options = replace(options, class_from=None)
    known = set(vocabulary)
    if not said:
        # Where images of the set are called something, what a lesion is called is no class of an image.
        names = [text for text in named if text]
        decided = image_class([text for text in names if not known or text in known], name=name, options=options)
        if decided is None and names and note is not None and options.boxes_as is BoxesAs.CLASS:
            whole = ", ".join(sorted(known)[:3]) + (", ..." if len(known) > 3 else "")
            note(
                name,
                f"its boxes have names, but classes are taken from the labels of whole images ({whole}), so it has "
                "none; if that is not a class, remove it from the data set, or correct the images with: partly set",
            )
        return decided
    (whole,) = said
    if options.boxes_as is BoxesAs.CLASS:
        other = (set(named) & known) - {whole}
        if other:
            raise BadEntry(f"the image is called {whole!r}, but one of its boxes {other.pop()!r}")
    return image_class((), name=name, options=options, said=whole)
