"""Image files without SQL: where they lie, how they are decoded, boxes and masks in pixels, how they look."""
