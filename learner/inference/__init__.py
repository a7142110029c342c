"""A trained model at work: predictions, the gate, certified thresholds, proposals."""
