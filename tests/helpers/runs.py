"""Runs of Dagster in this process, whose calls an engine of the test computes, and what they have recorded."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from tests.helpers.engines import ScriptedEngine

RunAsset = Callable[..., dg.ExecuteInProcessResult]


class Engines:
    """The engines of runs.

    Attributes:
        opened: Those that were opened, in order.
        prepared: Those that are opened next; otherwise new ones are.
    """

    def __init__(self) -> None:
        self.opened: list[ScriptedEngine] = []
        self.prepared: list[ScriptedEngine] = []

    def open(self, settings: object) -> ScriptedEngine:
        """Take the place of `open_engine`."""
        self.opened.append(self.prepared.pop(0) if self.prepared else ScriptedEngine())
        return self.opened[-1]


def events(instance: dg.DagsterInstance, key: str) -> list[tuple[str, str | None, str]]:
    """The partition, data version and run of each event of an asset, oldest first."""
    found = instance.fetch_materializations(dg.AssetKey(key.split("/")), limit=100).records
    return [
        (str(r.partition_key), (r.asset_materialization.tags or {}).get("dagster/data_version"), r.run_id)
        for r in reversed(found)
        if r.asset_materialization is not None
    ]


def failure(done: dg.ExecuteInProcessResult) -> str:
    """The sentence with which the only step that failed has failed."""
    (event,) = done.filter_events(lambda event: event.is_step_failure)
    cause = event.step_failure_data.user_failure_data
    return str(cause.description) if cause is not None else str(event.step_failure_data.error)
