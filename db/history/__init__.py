"""What was said when: hashes of snapshots, what changed between two, and taking labels back."""
