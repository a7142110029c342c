"""What was measured against what is promised: one table, and whether all of it holds."""

from collections.abc import Sequence

Row = tuple[str, float, str, float]
"""What was measured, its value, `<=` or `>=`, and the limit."""


def print_limits(rows: Sequence[Row]) -> int:
    """Print the table and return the exit code: 1 if a limit is missed."""
    width = max(len(label) for label, *_ in rows)
    missed = 0
    for label, value, sign, limit in rows:
        good = value <= limit if sign == "<=" else value >= limit
        missed += not good
        print(f"{label:<{width}} {value:9.3f}   limit {sign} {limit:g}   {'ok' if good else 'MISSED'}")
    return 1 if missed else 0
