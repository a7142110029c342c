"""What to ask people next: features, query strategies, and batches made with them."""
