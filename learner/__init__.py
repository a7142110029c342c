"""The machine's side: training, evaluation and proposals. Knows the registry, never the annotator."""
