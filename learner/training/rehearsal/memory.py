"""The largest amount of memory that is in use while something runs."""

import threading
from types import TracebackType

import psutil
import torch

EVERY_S = 0.02
"""Between two looks at the process; torch itself knows the peak of a GPU."""


class PeakMemory:
    """Watches the memory of a GPU, or of this process."""

    def __init__(self, device: torch.device) -> None:
        self.peak_bytes = 0
        self._device = device
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._look()
        self._stop.set()
        if self._watcher.is_alive():
            self._watcher.join()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._look()

    def _look(self) -> None:
        if self._device.type == "cuda":
            self.peak_bytes = torch.cuda.max_memory_allocated(self._device)
        else:
            self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)
