"""What the loop of proposals and questions leaves behind; private to db."""
