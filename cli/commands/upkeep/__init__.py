"""Looking back and keeping the registry well: history, undoing, backups, caches."""
