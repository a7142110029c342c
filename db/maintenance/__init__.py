"""Registry maintenance: backup, restore, upgrade, and integrity checks."""
