"""Records -> flat rows, as pandas.DataFrame takes them."""

from collections.abc import Iterable
from typing import Any

from cli.documents import document_of


def to_rows(records: Iterable[Any]) -> list[dict[str, Any]]:
    """Make one flat row of every record.

    Args:
        records: frozen records, such as `ProposeResult.items` or `Project.images()`.

    Returns:
        Dictionaries of plain values; the fields of a nested record stand under `outer.inner`, lists stay lists.
    """
    return [_flat(document_of(record), "") for record in records]


def _flat(document: dict[str, Any], prefix: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            row |= _flat(value, f"{prefix}{key}.")
        else:
            row[f"{prefix}{key}"] = value
    return row
