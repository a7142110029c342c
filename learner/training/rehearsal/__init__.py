"""What a training would see and cost, from a few real steps: `partly train --dry-run`."""
