"""From one row an image to measures, intervals and tests."""
