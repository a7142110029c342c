"""History: snapshot hashes, differences between snapshots, and retracting labels."""
