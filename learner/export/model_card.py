"""The model card: what a model is for, what it was made of, how good it is, and what nobody should use it for.

The layout is the Hugging Face hub's: a YAML header, then Markdown. Names that come from data are shown as plain text,
whatever is in them.
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from db.atomic_write import creating, replacing
from db.errors import Conflict
from db.plain_text import shown
from learner.config import PRESETS
from learner.export.card_facts import SUPERVISIONS, CardFacts, Measured, gather_facts
from learner.export.places import ExportFormat, card_place
from learner.export.portable_folder import exported_by, without_path
from learner.export.source import RunSource
from learner.export.usage import usage

MOST_ROWS = 60
"""Rows of the table of images; the rest is summed up."""
FEW = 100
"""Images of a split, below which the card says that they are few."""
LONGEST_NAME = 120
NOT_IN_CARD = ("preset", "weights", "device", "track", "compile", "checkpoint_minutes", "amp")
"""Settings that do not change what a model is, or stand elsewhere in the card."""


@dataclass(frozen=True, slots=True)
class CardReport:
    """What was written."""

    run: str
    card: Path
    evaluated: dict[str, int | None]
    """Evaluated images by split; None where a split was not evaluated."""
    certified: bool
    dry_run: bool


def write_card(source: RunSource, out: Path, *, force: bool = False, dry_run: bool = False) -> CardReport:
    """Write a run's model card.

    Args:
        source: the run.
        out: the file, or a folder that it is put into.
        force: write over what is there.
        dry_run: gather everything, write nothing.

    Raises:
        Conflict: something is there, and `force` is not given. CheckpointIncompatible: the run cannot be used.
        OSError: there is no space, or no permission.
    """
    target = card_place(out, force=force)
    facts = gather_facts(source)
    text = render_card(facts, None, "")
    if not dry_run:
        try:
            with (replacing if force else creating)(target) as draft:
                draft.write_text(text, encoding="utf-8")
        except FileExistsError as exc:
            raise Conflict(
                f"{shown(str(target))} was created by another process in the meantime, and is left as it is"
            ) from exc
    evaluated = {split: None if found is None else found.n for split, found in facts.measured.items()}
    return CardReport(facts.run, target, evaluated, bool(facts.certificates), dry_run)


def card_text(source: RunSource, layout: ExportFormat, name: str) -> str:
    """Return the card of an exported model whose file or folder is called `name`."""
    return render_card(gather_facts(source), layout, name)


def render_card(facts: CardFacts, layout: ExportFormat | None, name: str) -> str:
    """Put a card together.

    Args:
        facts: about the run.
        layout: how it was exported; None where it was not.
        name: of the exported file or folder.
    """
    sections = (
        _head(facts, layout),
        _about(facts),
        _use(facts),
        _training(facts),
        _data(facts),
        _measures(facts),
        _certificate(facts),
        _limits(facts),
        _running(facts, layout, name),
        _licence(facts),
    )
    return "\n".join(line for section in sections for line in (*section, "")).rstrip() + "\n"


def plain(text: str) -> str:
    """Return a name from data as Markdown that shows it: nothing in it is a link, a heading, HTML or ends a cell."""
    text = shown(text)
    short = text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3]}..."
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~$&@:-])", lambda found: ESCAPES.get(found[0], f"\\{found[0]}"), short)


def code(text: str) -> str:
    """Return a text as Markdown's code, which nothing in it ends."""
    return "`" + shown(text).replace("`", "'")[: 2 * LONGEST_NAME] + "`"


ESCAPES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;", "@": "&#64;", ":": "&#58;", "-": "-"}
"""What backslashes do not hide everywhere; a colon begins an address."""


def _head(facts: CardFacts, layout: ExportFormat | None) -> Iterator[str]:
    config = facts.config
    task = "image-segmentation" if config.localizes else "image-classification"
    tags = ["partly", "partly-labeled", "active-learning", config.method]
    tags += [
        name
        for name, is_said in (("image-classification", config.classifies), ("lesion-detection", config.localizes))
        if is_said
    ]
    tags += [layout.value] if layout is not None else []
    yield from (
        "---",
        "# license: yours to choose, such as apache-2.0 or cc-by-nc-4.0; see Licence below",
        "library_name: partly",
        f"pipeline_tag: {task}",
        "tags:",
        *(f"- {tag}" for tag in tags),
        "---",
        "",
        f"# Model card of {plain(facts.run)}",
    )


def _about(facts: CardFacts) -> Iterator[str]:
    config, answers = facts.config, []
    if config.classifies:
        names = ", ".join(plain(name) for name in facts.classes[:MOST_ROWS])
        more = f" and {len(facts.classes) - MOST_ROWS} more" if len(facts.classes) > MOST_ROWS else ""
        answers.append(f"which of {len(facts.classes)} classes an image shows ({names}{more})")
    if config.localizes:
        answers.append("where something is, as a mask and boxes")
    if config.presence and config.method == "lanet":
        answers.append("whether there is anything to find at all")
    yield f"A network that says {'; '.join(answers)}."
    yield "Trained with partly on partly-labeled images; what was known about them is listed below."
    yield ""
    yield f"- Method `{config.method}`, encoder `{config.encoder}`"
    yield f"- Images are framed into {config.square_px} x {config.square_px} px (`{config.framing}`)"
    if config.tiles > 1:
        yield f"- Looked at as a whole, reduced to {config.size} x {config.size} px, and in tiles of that size"
    yield f"- Weights SHA-256 {code(facts.weights_sha256)}"
    yield f"- Card written by {exported_by()}"


def _use(facts: CardFacts) -> Iterator[str]:
    yield from (
        "## Intended use",
        "",
        "Research on images like those it was trained on, and suggestions to people who label such images and check",
        "every one of them.",
        "",
        "**Not for** diagnosis, triage, treatment, or any decision about a patient. This is research software and not",
        "a medical device; nobody has assessed it as one. Not for images of another kind, device or population without",
        "an evaluation on those.",
    )


def _training(facts: CardFacts) -> Iterator[str]:
    config = facts.config
    default = PRESETS[config.preset].to_dict()
    changed = {
        key: value for key, value in config.to_dict().items() if key not in NOT_IN_CARD and default[key] != value
    }
    yield "## How it was trained"
    yield ""
    kept = f"; epoch {facts.epoch} of the second was kept" if facts.epoch is not None else ""
    yield f"- Preset `{config.preset}`, seed {config.seed}"
    yield f"- {config.stage1_epochs} + {config.stage2_epochs} epochs in two stages{kept}"
    if facts.begun is not None:
        ended = f" to {facts.ended:%Y-%m-%d %H:%M}" if facts.ended is not None else ""
        yield f"- From {facts.begun:%Y-%m-%d %H:%M}{ended} (UTC)"
    yield f"- Started from: {_started_from(facts)}"
    yield f"- Input range `{config.normalize}` (mean and deviation of red, green and blue)"
    if changed:
        settings = ", ".join(
            f"`{key}={str(value).lower() if isinstance(value, bool) else value}`" for key, value in changed.items()
        )
        yield f"- Settings that differ from the preset's: {settings}"


def _started_from(facts: CardFacts) -> str:
    said = without_path(facts.started_from)
    if said is None:
        return "not recorded"
    if said.get("kind") == "none":
        return "random weights"
    name, digest = plain(str(said.get("name") or "")), said.get("sha256")
    of_file = f", SHA-256 {code(str(digest))}" if digest else ""
    words = {"package": f"ImageNet weights of the package {name}", "hub": f"ImageNet weights {name}"}
    words |= {"file": f"a file, {name}", "run": f"an earlier run, {name}"}
    licence = (
        f"; their licence, as timm states it: {plain(facts.licence)}"
        if facts.licence
        else "; their licence is not known here"
    )
    return words.get(str(said.get("kind")), name) + of_file + licence


def _data(facts: CardFacts) -> Iterator[str]:
    yield "## The data"
    yield ""
    yield f"Snapshot {code(facts.snapshot)} of the registry." if facts.snapshot else "No snapshot is recorded."
    if facts.counts is None:
        yield "The number of images in it can be told only in the project that it was trained in."
        return
    yield "*Fully*: class and location are known (known to be empty included); *partly*: only the class is known."
    yield "Test images, and images related to them, were not trained on."
    yield ""
    yield from _table(("class", "split", *SUPERVISIONS, "images"), _counted(facts.counts))


def _counted(counts: dict[tuple[str, str], dict[str, int]] | object) -> list[tuple[object, ...]]:
    assert isinstance(counts, dict)
    rows: list[tuple[object, ...]] = [
        (plain(class_name) or "not known", split or "none", *(of[kind] for kind in SUPERVISIONS), sum(of.values()))
        for (class_name, split), of in counts.items()
    ]
    if len(rows) > MOST_ROWS:
        rest = list(counts.values())[MOST_ROWS:]
        sums = [sum(of[kind] for of in rest) for kind in SUPERVISIONS]
        rows = [*rows[:MOST_ROWS], (f"{len(rest)} further rows", "", *sums, sum(sums))]
    sums = [sum(of[kind] for of in counts.values()) for kind in SUPERVISIONS]
    return [*rows, ("**all**", "", *sums, sum(sums))]


def _measures(facts: CardFacts) -> Iterator[str]:
    yield "## Metrics"
    for split, title in (("val", "Validation"), ("test", "Test")):
        found = facts.measured[split]
        command = code(f"partly evaluate --run {shlex.quote(facts.run)} --split {split}")
        if facts.begun is None:
            command = f"{code(f'partly evaluate --split {split}')} in the project that it was trained in"
        yield from ("", f"### {title}", "")
        if found is None:
            yield f"Not evaluated. {command} does this; `partly model card` then adds the results."
            continue
        yield from _measured(found, command)
        if split == "val" and facts.config.select != "last":
            yield ""
            yield "The epoch that is kept was chosen on validation images, so these numbers are too high."


def _measured(found: Measured, command: str) -> Iterator[str]:
    yield f"{found.n} images." + (
        " Intervals (95%) are over groups of images: of one patient, video or picture."
        if found.with_intervals
        else f" As measured at the end of training; {command} adds intervals."
    )
    if found.n < FEW:
        yield f"**{found.n} images are few**: differences of several hundredths mean nothing."
    yield ""
    rows = [
        (
            measure.name,
            f"{measure.value:.3f}",
            "-" if measure.low is None else f"{measure.low:.3f} to {measure.high:.3f}",
        )
        for measure in found.measures
    ]
    yield from _table(("metric", "value", "95% interval"), rows)


def _certificate(facts: CardFacts) -> Iterator[str]:
    yield "## Certificate"
    yield ""
    if not facts.certificates:
        yield "None: no threshold has a certified precision. `partly propose --tau auto` certifies one on reviewed"
        yield "validation images, and says how many are needed."
        return
    yield from (f"- {promise}" for promise in facts.certificates)
    yield ""
    yield "It holds for images drawn as the calibration images were, scored by `partly propose`, and for no others."


def _limits(facts: CardFacts) -> Iterator[str]:
    yield "## Limits"
    yield ""
    if facts.config.classifies:
        yield "- It knows only the classes above, and assigns every image to one of them, whatever it shows."
    counts = facts.counts or {}
    located = sum(of["fully"] for (_, split), of in counts.items() if split != "test")
    if counts and facts.config.localizes:
        yield f"- What it knows about locations comes from at most {located} images" + (
            ", which is few." if located < FEW else "."
        )
    yield "- Images from another device, clinic or population may look alike and be scored wrongly, and confidently."
    yield "- Probabilities are not calibrated unless a certificate above says so of a threshold."
    yield "- Results on copies of training images, or on more images of the same patients, are better than on new ones."


def _running(facts: CardFacts, layout: ExportFormat | None, name: str) -> Iterator[str]:
    yield "## How to run it"
    yield ""
    if layout is None:
        command = code(f"partly model export --run {shlex.quote(facts.run)} --format onnx model.onnx")
        yield f"{command} writes it to a file of its own, with a card like this beside it."
        yield "`partly predict IMAGES found.csv` runs it as it is."
        return
    language, lines = usage(layout, name, classifies=facts.config.classifies, localizes=facts.config.localizes)
    if layout is ExportFormat.SAFETENSORS:
        yield "The folder is all that `partly predict` needs, with or without a project:"
    else:
        needs = "onnxruntime, NumPy and Pillow" if layout is ExportFormat.ONNX else "torch, NumPy and Pillow"
        yield f"With {needs}; framing and normalization are part of the model. Its input is an upright RGB image,"
        yield "uint8, height x width x 3, of any size; a grey one is repeated three times."
    yield from ("", f"```{language}", *lines.splitlines(), "```")


def _licence(facts: CardFacts) -> Iterator[str]:
    yield from (
        "## Licence",
        "",
        "Not stated: that is for whoever publishes the model to choose, and depends on the images it was trained on",
        "and on the weights it started from (above). Put it into the header as `license:`. The method: Fan et al.",
        "2023, Medical Image Analysis 90:102960.",
    )


def _table(titles: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    columns = list(titles)
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"
