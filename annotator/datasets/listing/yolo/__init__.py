"""What a YOLO data set consists of: its description, names of classes, splits, and label files."""
