"""What a training may see, as tensors: selection, framing, batches, augmentation."""
