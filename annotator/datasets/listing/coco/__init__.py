"""What a COCO file says, read with care: ids, categories, where its images lie, and outlines."""
