"""Looking after the registry itself: backup, restore, upgrade, and checks of what its tables promise."""
