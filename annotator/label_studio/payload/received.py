"""Reads tasks as a server lists them, strictly: types, counts and ranges are checked here, and nowhere else needs to.

Label Studio stores almost anything that is sent to its API. One annotation that cannot be read stops nothing: it stays
in its task, emptied, with the reason under `PROBLEM`; so does a task. Whoever reads them says what is wrong, and every
pull looks at them again until somebody has mended or deleted them. No network.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from annotator.label_studio.payload.plain import Unreadable, check_plain, check_text, shown, whole_number
from annotator.label_studio.payload.regions import check_result
from annotator.label_studio.payload.tasks import KEY, PROBLEM, ROUND

LARGEST_NUMBER = 2**63 - 1
"""What a database can number rows with."""
LONGEST_ADDRESS = 320
"""Of an e-mail."""
MOST_ROUNDS = 1_000_000
OWN_KEY = re.compile(r"[\x21-\x7e]{1,100}")
COUNTS = ("total_annotations", "cancelled_annotations", "overlap")


def read_task(document: Mapping[str, Any]) -> dict[str, Any]:
    """Check a task, its annotations and its predictions.

    Args:
        document: as the server sent it.

    Returns:
        The task, safe to be read: `id` is a number, `data` a mapping, and `annotations` and `predictions`, where they
        are there, are lists of mappings. What cannot be read is emptied, with the reason under `PROBLEM`.

    Raises:
        Unreadable: it has no usable number, so it is no task of Label Studio.
    """
    whole_number(document.get("id"), "the number of a task", 1, LARGEST_NUMBER)
    try:
        return _task(document)
    except Unreadable as exc:
        return _emptied_task(document, str(exc))


def read_annotation(document: Mapping[str, Any]) -> dict[str, Any]:
    """Check an annotation whose number is known to be one.

    Returns:
        The annotation; one that cannot be read without what it says, and with the reason under `PROBLEM`.
    """
    try:
        return _annotation(document)
    except Unreadable as exc:
        version = document.get("updated_at")
        return {
            "id": document["id"],
            "updated_at": version if isinstance(version, str) and len(version) <= 64 and version.isascii() else "",
            "was_cancelled": False,
            "result": [],
            PROBLEM: str(exc),
        }


def lack_results(tasks: Sequence[Any]) -> bool:
    """Say whether the server left out what annotations say: all of those listed, not one that is of another form.

    Raises:
        KeyError: it left out the annotations.
    """
    listed = [task["annotations"] for task in tasks]
    found = [said for annotations in listed if isinstance(annotations, list) for said in annotations]
    return bool(found) and all(isinstance(said, Mapping) and "result" not in said for said in found)


def _task(document: Mapping[str, Any]) -> dict[str, Any]:
    task = {key: value for key, value in document.items() if key != PROBLEM}
    task["data"] = _data(task.get("data"))
    for name in COUNTS:
        if task.get(name) is not None:
            whole_number(task[name], name, 0, 2**31)
    if "annotations" in task:
        task["annotations"] = [read_annotation(item) for item in _numbered(task["annotations"])]
    if "predictions" in task:
        found = task["predictions"] if isinstance(task["predictions"], list) else []
        task["predictions"] = [said for item in found if (said := _prediction(item)) is not None]
    return task


def _emptied_task(document: Mapping[str, Any], problem: str) -> dict[str, Any]:
    """Keep of a task what tells which one it is."""
    data = document.get("data")
    key = data.get(KEY) if isinstance(data, Mapping) else None
    kept = {KEY: key} if isinstance(key, str) and OWN_KEY.fullmatch(key) else {}
    return {"id": document["id"], "data": kept, "annotations": [], "predictions": [], PROBLEM: problem}


def _data(data: Any) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise Unreadable(f"its data is {shown(data)}, not an object with named fields")
    check_plain(data, "its data")
    key = data.get(KEY)
    if key is not None and key != "" and not (isinstance(key, str) and OWN_KEY.fullmatch(key)):
        raise Unreadable(f"its {KEY} is {shown(key)}, which partly did not write")
    if data.get(ROUND) is not None:
        whole_number(data[ROUND], ROUND, 0, MOST_ROUNDS)
    return dict(data)


def _numbered(annotations: Any) -> list[Mapping[str, Any]]:
    """Return annotations that have a number; without it nobody could say which one it is, or whether it is new."""
    if not isinstance(annotations, list):
        raise Unreadable(f"its annotations are {shown(annotations)}, not a list")
    for item in annotations:
        if not isinstance(item, Mapping):
            raise Unreadable(f"one of its annotations is {shown(item)}")
        whole_number(item.get("id"), "the number of one of its annotations", 1, LARGEST_NUMBER)
    return annotations


def _annotation(document: Mapping[str, Any]) -> dict[str, Any]:
    said = {key: value for key, value in document.items() if key != PROBLEM}
    cancelled = said.get("was_cancelled")
    if cancelled is not None and not isinstance(cancelled, bool):
        raise Unreadable(f"was_cancelled is {shown(cancelled)}")
    if said.get("updated_at") is not None:
        check_text(said["updated_at"], "updated_at", 64)
    _check_time(said.get("created_at"))
    _check_person(said.get("completed_by"), "completed_by")
    _check_person(said.get("updated_by"), "updated_by")
    if said.get("parent_prediction") is not None:
        whole_number(said["parent_prediction"], "parent_prediction", 0, LARGEST_NUMBER)
    seconds = said.get("lead_time")
    if seconds is not None:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise Unreadable(f"lead_time is {shown(seconds)}, not a number of seconds")
        check_plain(seconds, "lead_time")
    # Whoever skipped a task has said nothing, whatever was on the page.
    said["result"] = [] if cancelled else check_result(said.get("result"))
    return said


def _prediction(document: Any) -> dict[str, Any] | None:
    """Return a prediction, without its result if that cannot be read; None for what is none."""
    if not isinstance(document, Mapping):
        return None
    number, version = document.get("id"), document.get("model_version")
    try:
        if number is not None:
            whole_number(number, "its number", 0, LARGEST_NUMBER)
        if version is not None:
            check_text(version, "model_version", 500)
    except Unreadable:
        return None
    try:
        result = check_result(document.get("result") or []) if "result" in document else None
    except Unreadable:
        result = []
    return dict(document) if result is None else {**document, "result": result}


def _check_time(moment: Any) -> None:
    if moment is None:
        return
    check_text(moment, "created_at", 64)
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        raise Unreadable(f"created_at is {shown(moment)}, not a time") from None


def _check_person(by: Any, name: str) -> None:
    """Check who said it: a number, or a description with number and e-mail address."""
    if isinstance(by, Mapping):
        if by.get("email") is not None:
            check_text(by["email"], f"the email of {name}", LONGEST_ADDRESS)
        by = by.get("id")
        if by is None:
            return
    if by is not None:
        whole_number(by, name, 0, LARGEST_NUMBER)
