"""One small class per aggregate; each works inside a transaction and returns frozen records."""
