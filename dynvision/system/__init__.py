"""Files, locks, the machine, progress and child processes. Nothing here knows about vision."""
