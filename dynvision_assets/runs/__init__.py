"""What happens in a run of Dagster: targets are built by an engine, and each is recorded when it is finished."""
