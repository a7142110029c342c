"""Images to try partly on, drawn like ultrasound; no person's."""

from annotator.datasets.phantoms import write_phantoms

__all__ = ["write_phantoms"]
