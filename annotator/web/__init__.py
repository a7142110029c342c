"""What our own servers share: whom they answer, and how they listen."""
