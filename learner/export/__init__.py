"""A run's model for use without partly: ONNX, TorchScript or a folder of weights, and a card that describes it."""
