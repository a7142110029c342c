"""Whether the modules that `import db` finds are partly's own, in a checkout; a wheel has them below `partly`."""

from importlib.machinery import PathFinder
from pathlib import Path

FOLDERS = ("annotator", "cli", "db", "learner")


def check_installation() -> None:
    """Refuse an editable install beside another package of one of partly's names, which would be imported instead.

    Raises:
        ImportError: there is one; the message says where, and what to do.
    """
    here = Path(__file__).resolve().parent
    if (here / "db").is_dir():
        return
    for name in FOLDERS:
        spec = PathFinder.find_spec(name)
        if spec is None:
            continue
        places = [Path(place).resolve() for place in spec.submodule_search_locations or [spec.origin or "."]]
        if here.parent / name not in places:
            raise ImportError(
                f"this is partly's source tree ({here.parent}), and Python finds another package named {name!r} before "
                f"partly's, in {places[0]}. Work on partly in an environment of its own (make setup), or install "
                f"partly as a package, which has no such names: pip install {here.parent}"
            )
