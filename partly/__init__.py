"""The public face of partly: `open_project` and a method for every use-case, for notebooks and scripts.

    import partly

    with partly.open_project("breast") as project:
        run = project.train(size=128, weights="none")
        proposals = project.propose(run=run.run, tau=0.8)
        partly.to_rows(proposals.items)

Methods take plain values and return frozen records; `to_rows` makes flat rows of them. Importing it loads neither torch
nor SQLAlchemy: a method loads what it needs when it is called. Errors to catch are in `partly.errors`, what a query
strategy of one's own needs in `partly.strategies`, fields of requests in `partly.requests`.
"""

from typing import TYPE_CHECKING

from partly.installation import check_installation

check_installation()

from partly.project import Project, create_project, open_project  # noqa: E402 - what it imports was checked
from partly.rows import to_rows  # noqa: E402

__all__ = ["Project", "__version__", "create_project", "open_project", "to_rows"]

if TYPE_CHECKING:
    __version__: str


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("partly")
    raise AttributeError(f"module 'partly' has no attribute {name!r}")
