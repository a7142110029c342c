"""What every reader of a format lists, and what readers share: folders, companions of images, classes."""
