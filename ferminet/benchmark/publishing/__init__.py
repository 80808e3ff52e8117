"""Published rows: how they are written, sealed and verified."""
