"""Automation, off until it is switched on in the UI (page Automation).

`rebuild_what_is_stale` builds what was made before again when what it is made from has changed; `notice_new_images`
makes the raw partitions of datasets of one's own whose files have changed: both together keep a chain up to date.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import dagster as dg

from dynvision.errors import DynvisionError
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.partitions import asset_key

__all__ = ["REBUILD", "make_sensors", "unmade_images"]

REBUILD = (
    dg.AutomationCondition.any_deps_updated().since_last_handled()
    & ~dg.AutomationCondition.missing()
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
).with_label("rebuild when something upstream was updated")
"""Build a partition again that was made before, once all that it is made from is there and at rest.

Partitions that were never made are left alone: what exists is a choice of whoever works here. A run finds by the
records whether its partition is stale at all, and builds nothing where an input came out as it was.
"""


def make_sensors(workspace: Workspace) -> list[dg.SensorDefinition]:
    """Make the two switches."""
    return [
        dg.AutomationConditionSensorDefinition(
            "rebuild_what_is_stale",
            target=dg.AssetSelection.all(),
            default_status=dg.DefaultSensorStatus.STOPPED,
            minimum_interval_seconds=30,
            description="Builds again what was made before, when something that it is made from was updated.",
        ),
        _make_file_sensor(workspace),
    ]


def unmade_images(workspace: Workspace) -> Iterator[tuple[Target, str]]:
    """Splits of datasets of one's own whose images are new or have changed, with a digest of their files.

    Datasets that this project writes itself do not change by themselves and are left out.
    """
    keys = [key for stage in workspace.stages.values() if stage.watches_files for key in stage.keys()]
    for target in (target for key in keys for target in workspace.targets(key)):
        try:
            files = workspace.stage(target).watched_files(target)
        except DynvisionError:
            continue  # Half a folder is no dataset yet; `dynvision make` says what it lacks.
        if files is not None and workspace.status(target).state != "fresh":
            yield target, files


def _make_file_sensor(workspace: Workspace) -> dg.SensorDefinition:
    root, config_folder = workspace.paths.root, workspace.config.folder
    watched = [stage.name for stage in workspace.stages.values() if stage.watches_files]

    @dg.sensor(
        name="notice_new_images",
        asset_selection=dg.AssetSelection.groups(*watched),
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=30,
        description="Makes raw/<dataset> where images in data/raw/<dataset> or data/external/<dataset> are new or have "
        "changed, once they have stayed the same for one interval (so that copying has ended).",
    )
    def notice_new_images(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before = json.loads(context.cursor or "{}")
        found = dict(unmade_images(Workspace.open(root, config_folder)))
        requests = [
            dg.RunRequest(
                run_key=f"{target}:{files}",
                asset_selection=[asset_key(target.key)],
                partition_key=target.partition,
            )
            for target, files in found.items()
            if before.get(str(target)) == files
        ]
        cursor = json.dumps({str(target): files for target, files in found.items()})
        waiting = len(found) - len(requests)
        reason = f"{waiting} partitions have new images that still change" if waiting else "no new images"
        return dg.SensorResult(requests, cursor=cursor, skip_reason=None if requests else dg.SkipReason(reason))

    return notice_new_images
