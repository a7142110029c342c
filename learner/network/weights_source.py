"""Where the weights that a training starts from come from, as it is kept with the run."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["none", "package", "hub", "file", "run"]


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """Where weights come from, so that the same can be found again."""

    kind: Kind
    """none: random; package: installed from the package index; hub: timm's model hub, or what was fetched from it."""
    name: str | None = None
    """Of the package and its version, of the model in the hub, of the file, or of the run."""
    sha256: str | None = None
    """Of the file that held them, where there is one."""

    def to_document(self) -> dict[str, Any]:
        """Return it as it is stored with a run."""
        return asdict(self)


RANDOM = WeightsSource("none")
