"""Curves that can be watched: read back with the tools' own readers."""

import mlflow
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from learner.checkpoint import load_checkpoint
from learner.training.train import train_model
from tests.integration.test_training import tiny


def losses_in(result):
    history = load_checkpoint(result.checkpoint).description["history"]
    return [entry["loss"] for entry in history]


def test_tensorboard_reads_the_curves(filled):
    result = train_model(filled, tiny(track="tensorboard", epochs=1))
    events = EventAccumulator(str(result.checkpoint / "tensorboard")).Reload()
    found = events.Scalars("loss")
    assert [point.step for point in found] == [1, 2]
    assert [point.value for point in found] == pytest.approx(losses_in(result))
    assert {"val/auc", "val/dice", "localization"} <= set(events.Tags()["scalars"])


# What MLflow asks of its own database is its own affair.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_mlflow_reads_the_curves_and_the_settings(filled, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_tracking_uri(None)
    result = train_model(filled, tiny(track="mlflow", epochs=1))
    client = mlflow.MlflowClient()
    (run,) = client.search_runs(["0"])
    assert (run.info.run_name, run.info.status) == ("run-1", "FINISHED")
    assert run.data.params["encoder"] == "resnet10t"
    found = client.get_metric_history(run.info.run_id, "loss")
    assert [point.value for point in sorted(found, key=lambda point: point.step)] == pytest.approx(losses_in(result))
    assert run.data.metrics["final/localization/iou"] == pytest.approx(result.val.localization.iou)
