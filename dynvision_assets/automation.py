"""Automation: two sensors that are off until they are switched on in the UI (page Automation).

`rebuild_what_is_stale` builds partitions again after something upstream was updated. `notice_new_images` makes the raw
partitions of the user's own datasets after their files have changed. Both together keep a chain up to date.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import dagster as dg

from dynvision.errors import DynvisionError
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.pages.groups import name_group
from dynvision_assets.partitions import asset_key

__all__ = ["REBUILD", "make_sensors", "unmade_images"]

REBUILD = (
    dg.AutomationCondition.any_deps_updated().since_last_handled()
    & ~dg.AutomationCondition.missing()
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
).with_label("rebuild when something upstream was updated")
"""Build an existing partition again, once all of its inputs exist and none is being built.

Partitions that were never made are left alone, because the user decides what to make. The run itself reads the records
and builds nothing if its partition is still up to date, for example because an input was rebuilt with the same content.
"""


def make_sensors(workspace: Workspace) -> list[dg.SensorDefinition]:
    """Make the two sensors.

    Args:
        workspace: The workspace.
    """
    return [
        dg.AutomationConditionSensorDefinition(
            "rebuild_what_is_stale",
            target=dg.AssetSelection.all(),
            default_status=dg.DefaultSensorStatus.STOPPED,
            minimum_interval_seconds=30,
            description="Builds existing partitions again after something that they are made from was updated.",
        ),
        _make_file_sensor(workspace),
    ]


def unmade_images(workspace: Workspace) -> Iterator[tuple[Target, str]]:
    """Yield the splits of the user's own datasets whose images are new or have changed.

    Datasets that this project writes itself are left out, because nobody else changes their files; those that a class
    of the user's gives count by the files that it reads.

    Args:
        workspace: The workspace.

    Yields:
        A target, and a digest of its files.
    """
    keys = [key for stage in workspace.stages.values() if stage.watches_files for key in stage.keys()]
    for target in (target for key in keys for target in workspace.targets(key)):
        try:
            files = workspace.stage(target).watched_files(target)
        except DynvisionError:
            continue  # The folder is incomplete, perhaps still being copied. `dynvision make` says what is missing.
        if files is not None and workspace.status(target).state != "fresh":
            yield target, files


def _make_file_sensor(workspace: Workspace) -> dg.SensorDefinition:
    """Make the sensor that looks for new images. Its cursor holds the digest of each changed target, as last seen."""
    root, config_folder = workspace.paths.root, workspace.config.folder
    keys = [key for stage in workspace.stages.values() if stage.watches_files for key in stage.keys()]
    watched = dict.fromkeys(name_group(workspace, key) for key in keys)

    @dg.sensor(
        name="notice_new_images",
        asset_selection=dg.AssetSelection.groups(*watched),
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=30,
        description="Makes raw/<dataset> if images in data/raw/<dataset> or data/external/<dataset> are new or have "
        "changed, once they have stayed the same for one interval (so that copying has ended).",
    )
    def notice_new_images(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before = json.loads(context.cursor or "{}")
        current = dict(unmade_images(Workspace.open(root, config_folder)))
        requests = [
            dg.RunRequest(
                run_key=f"{target}:{files}",
                asset_selection=[asset_key(target.key)],
                partition_key=target.partition,
            )
            for target, files in current.items()
            if before.get(str(target)) == files
        ]
        cursor = json.dumps({str(target): files for target, files in current.items()})
        waiting = len(current) - len(requests)
        reason = f"{waiting} partitions have new images that are still changing" if waiting else "no new images"
        return dg.SensorResult(requests, cursor=cursor, skip_reason=None if requests else dg.SkipReason(reason))

    return notice_new_images
