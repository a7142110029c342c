"""People's side: reading data sets, and reviewing in Label Studio. Knows the registry, never the learner."""
