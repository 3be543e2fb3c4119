"""How a run is going: the state of every job, its logs, and checksums that were computed before."""
