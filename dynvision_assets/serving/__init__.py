"""What `dynvision ui` starts beside Dagster's server: it says when that is up, and serves the reports."""
