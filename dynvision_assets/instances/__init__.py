"""The Dagster instance of a root: its home, its databases, and the runs whose processes have ended."""
