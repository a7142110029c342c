"""Follows a training in TensorBoard or MLflow while it runs. The one place that knows either."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from db.atomic_write import make_private
from learner.config import TrainConfig
from learner.errors import ConfigInvalid

Values = Mapping[str, float | None]


class Tracker(Protocol):
    """Something that draws curves."""

    def log(self, epoch: int, values: Values) -> None:
        """Note the values of an epoch, counted over both stages; None is left out."""

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Note the metrics of the finished run, and close."""


def open_tracker(config: TrainConfig | None, folder: Path, run: str) -> Tracker:
    """Open what the configuration asks for.

    Args:
        config: None where nothing is to be followed.
        folder: of the run; TensorBoard's files lie in `tensorboard` in it.
        run: its name.

    Raises:
        ConfigInvalid: what is needed is not installed.
    """
    if config is None or config.track == "none":
        return _Nobody()
    return _TensorBoard(folder) if config.track == "tensorboard" else _MLflow(config, folder, run)


class _Nobody:
    def log(self, epoch: int, values: Values) -> None:
        """Note nothing."""

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Close nothing."""


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def log(self, epoch: int, values: Values) -> None:
        """Add a point to every curve."""
        for name, value in _known(values).items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Close the file."""
        self._writer.close()


class _MLflow:
    """Where it goes is MLflow's own affair: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME."""

    def __init__(self, config: TrainConfig, folder: Path, run: str) -> None:
        try:
            import mlflow
        except ImportError as exc:
            raise ConfigInvalid("track=mlflow needs MLflow; install it with: pip install 'partly[mlflow]'") from exc
        self._mlflow = mlflow
        noted = folder / "mlflow.json"
        before = json.loads(noted.read_text(encoding="utf-8"))["run_id"] if noted.exists() else None
        active = mlflow.start_run(run_id=before, run_name=None if before else run)
        if before is None:
            mlflow.log_params(config.to_dict())
            make_private(folder)
            noted.write_text(json.dumps({"run_id": active.info.run_id}), encoding="utf-8")

    def log(self, epoch: int, values: Values) -> None:
        """Add a point to every curve."""
        self._mlflow.log_metrics(_known(values), step=epoch)

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Note what validation said in the end."""
        final = {
            f"final/{part}/{name}": value
            for part in ("classification", "localization")
            for name, value in metrics["val"][part].items()
        }
        self._mlflow.log_metrics(_known(final))
        self._mlflow.end_run()


def _known(values: Values) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if value is not None}
