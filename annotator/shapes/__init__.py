"""Shapes as labeling programs write them, and what they are in pixels: percent, polygons, paint. Pure."""
