"""Inference with a trained model: predictions, the gate, certified thresholds, proposals."""
