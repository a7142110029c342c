"""What can be known to be wrong with a bench before anything is loaded. No torch."""

import difflib

from db.errors import InvalidArgument
from db.records import Split
from db.registry import Registry
from learner.bench.paper_tables import TABLES
from learner.early_checks import NO_TEST, check_images
from learner.errors import DataInvalid


def check_bench(registry: Registry, table: str) -> None:
    """Check what a table of the paper cannot do without.

    Raises:
        InvalidArgument: there is no such table; ImagesMissing, DataInvalid: there are no images, or none in test.
    """
    if table not in TABLES:
        near = difflib.get_close_matches(table.lower(), TABLES, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise InvalidArgument(f"there is no table or figure {table!r}; {meant}the paper has {', '.join(TABLES)}")
    check_images(registry, "to train on")
    with registry.read() as tx:
        if not tx.images.count(splits=[Split.TEST]):
            raise DataInvalid(NO_TEST)
