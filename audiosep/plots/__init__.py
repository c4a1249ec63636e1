"""Pictures and players: recordings, separations and factorizations to look at and to hear."""
