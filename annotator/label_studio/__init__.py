"""Everything that talks to Label Studio; only client and transport open a connection."""
