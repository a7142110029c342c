"""What the command line says about itself: help pages, settings, completion, and answers to what is mistyped."""
