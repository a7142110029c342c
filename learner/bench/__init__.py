"""The paper's tables and figures, run on the registered data."""
