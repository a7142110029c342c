"""Where requests to a server may go, with what, and how much may come back."""
