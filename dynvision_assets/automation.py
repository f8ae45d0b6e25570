"""Automation: two sensors that are off until they are switched on in the UI (page Automation), and one that only looks.

`rebuild_what_is_stale` builds partitions again after something upstream has changed. `notice_new_images` makes the raw
partitions of the user's own datasets after their files have changed. Both together keep a chain up to date.
`see_what_is_stale` is on from the start: it builds nothing, and keeps the check `up_to_date` of every asset true.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Collection, Iterator

import dagster as dg

from dynvision.errors import DynvisionError
from dynvision.system.files import digest_json
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.pages.groups import name_group
from dynvision_assets.partitions import asset_key
from dynvision_assets.runs.freshness import find_changes

__all__ = ["make_sensors", "rebuild_condition", "unmade_images"]

_IS_DUE = (
    dg.AutomationCondition.any_deps_match(
        dg.AutomationCondition.data_version_changed() & ~dg.AutomationCondition.executed_with_root_target()
    )
    .with_label("an input has a new version")
    .since_last_handled()
    & ~dg.AutomationCondition.missing()
).with_label("due to be rebuilt")
"""An existing partition of which an input has another content than before. A run that only repeats it is no reason."""

_IS_UNSETTLED = (_IS_DUE | dg.AutomationCondition.in_progress() | dg.AutomationCondition.execution_failed()).with_label(
    "due to be rebuilt, being built, or failed"
)

_FARTHEST = 3
"""How far upstream is looked if an asset has several inputs: from responses to the images before they are processed."""

SITUATION_TAG = ".dagster/dynvision_images"
"""The tag of a run that `notice_new_images` has requested: the images, settings and output that it began with."""

FIRST_WAIT, LONGEST_WAIT = 600.0, 86_400.0
"""Seconds after which `notice_new_images` repeats a run that did not help: the first time, and at most. They double."""

LONGEST_LOOK = 10.0
"""Seconds after which a turn of `see_what_is_stale` leaves the other partitions and assets to the next one."""

REST = 20
"""How many times as long as a round of it took, the next one waits."""


@functools.cache
def rebuild_condition(inputs: int) -> dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey]:
    """Return when a partition is built again: once an input has changed, all exist, and nothing upstream is unsettled.

    Partitions that were never made are left alone, because the user decides what to make. A run of an asset builds
    nothing upstream, so it would fail if it were requested together with its inputs, or after an input that failed.

    Args:
        inputs: How many assets the asset is made from. With several, the news of one may arrive while those of another
            are still on their way, so that more than the inputs themselves is looked at. That takes time for each
            asset upstream.
    """
    is_unsettled = dg.AutomationCondition.any_deps_match(_IS_UNSETTLED)
    for _ in range(_FARTHEST - 1 if inputs > 1 else 0):
        is_unsettled = dg.AutomationCondition.any_deps_match(_IS_UNSETTLED | is_unsettled)
    return (
        _IS_DUE
        & ~dg.AutomationCondition.any_deps_missing()
        & ~is_unsettled.with_label("something upstream is not settled")
        & ~dg.AutomationCondition.in_progress()
    ).with_label("rebuild when an input has changed and everything upstream is settled")


def make_sensors(workspace: Workspace) -> list[dg.SensorDefinition]:
    """Make the sensors.

    Args:
        workspace: The workspace.
    """
    return [
        dg.AutomationConditionSensorDefinition(
            "rebuild_what_is_stale",
            target=dg.AssetSelection.all(),
            default_status=dg.DefaultSensorStatus.STOPPED,
            minimum_interval_seconds=30,
            description="Builds existing partitions again after something that they are made from has changed.",
        ),
        _make_file_sensor(workspace),
        _make_state_sensor(workspace),
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
    loaded = {target for key in keys for target in workspace.targets(key)}

    @dg.sensor(
        name="notice_new_images",
        asset_selection=dg.AssetSelection.groups(*watched),
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=30,
        description="Makes raw/<dataset> if images in data/raw/<dataset> or data/external/<dataset> are new or have "
        "changed, once they have stayed the same for one interval (so that copying has ended).",
    )
    def notice_new_images(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            current = Workspace.open(root, config_folder)
        except DynvisionError as error:  # for example while a file is being edited
            return dg.SensorResult(skip_reason=f"the configuration cannot be used: {error}", cursor=context.cursor)
        return _request_images(context, current, loaded)

    return notice_new_images


def _request_images(
    context: dg.SensorEvaluationContext, workspace: Workspace, loaded: Collection[Target]
) -> dg.SensorResult:
    """Request what can be made of new images now, or say why there is nothing.

    Args:
        context: The turn of the sensor.
        workspace: The workspace, with the configuration as it is now.
        loaded: The targets that Dagster's definitions had when they were loaded. It refuses to make others.
    """
    before = json.loads(context.cursor or "{}")
    current = dict(unmade_images(workspace))
    answers: list[dg.RunRequest | str] = []
    for target, files in current.items():
        if target not in loaded:
            answers.append(f"{target} is not among the assets yet: click Reload on the page Deployment")
        elif before.get(str(target)) != files:
            answers.append(f"{target} has new images that may still be changing")
        else:
            answers.append(_request_again(context.instance, target, _digest_situation(workspace, target, files)))
    requests = [answer for answer in answers if isinstance(answer, dg.RunRequest)]
    reason = "; ".join(answer for answer in answers if isinstance(answer, str)) or "no new images"
    cursor = json.dumps({str(target): files for target, files in current.items()})
    return dg.SensorResult(requests, cursor=cursor, skip_reason=None if requests else reason)


def _digest_situation(workspace: Workspace, target: Target, files: str) -> str:
    """Return a digest of what a run would begin with: the files, the settings, and what has been made before."""
    stage = workspace.stage(target)
    record = stage.read_record(target)
    return digest_json([str(target), files, stage.settings(target), None if record is None else record.data_version])


def _request_again(instance: dg.DagsterInstance, target: Target, situation: str) -> dg.RunRequest | str:
    """Return the request for a target, or why there is none now.

    Dagster never launches a second run for a key of a request. So the key counts the runs that ended and left the same
    situation: they failed, used settings from before a reload, or the files became again what they had been before.

    Args:
        instance: Dagster's instance.
        target: The target.
        situation: What a run would begin with.
    """
    runs = instance.get_run_records(dg.RunsFilter(tags={SITUATION_TAG: situation}))
    if any(not record.dagster_run.is_finished for record in runs):
        return f"{target} is being made"
    if runs:
        newest = runs[0]
        run_id = newest.dagster_run.run_id
        if newest.dagster_run.status == dg.DagsterRunStatus.CANCELED:
            return f"{target}: run {run_id} was terminated, and nothing has changed since"
        waits = min(FIRST_WAIT * 2 ** min(len(runs) - 1, 20), LONGEST_WAIT)
        left = (newest.end_time or newest.update_timestamp.timestamp()) + waits - time.time()
        if left > 0:
            minutes = math.ceil(left / 60)
            return f"{target} is still to be made after run {run_id}; it is tried again within {minutes} minutes"
    return dg.RunRequest(
        run_key=f"{target}:{situation}:{len(runs)}",
        asset_selection=[asset_key(target.key)],
        partition_key=target.partition,
        tags={SITUATION_TAG: situation},
    )


def _make_state_sensor(workspace: Workspace) -> dg.SensorDefinition:
    """Make the sensor that compares everything with the configuration as it is now, and reports what has changed.

    A look at thousands of conditions takes longer than Dagster allows a sensor. So its cursor says with which asset the
    next turn goes on, what is known of it, how long the present round has taken, and when the next one begins.
    """
    root, config_folder, keys = workspace.paths.root, workspace.config.folder, list(workspace.keys)

    @dg.sensor(
        name="see_what_is_stale",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
        description="Keeps the check up_to_date of every asset true: what `dynvision status` says. It builds nothing. "
        "In a large root it looks less often, so that it uses no more than a twentieth of a core.",
    )
    def see_what_is_stale(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        state = {"next": 0, "begun": None, "seconds": 0.0, "not_before": 0.0} | json.loads(context.cursor or "{}")
        if time.time() < state["not_before"]:
            return dg.SensorResult(skip_reason="everything was looked at a short while ago", cursor=context.cursor)
        try:
            current = Workspace.open(root, config_folder)
        except DynvisionError as error:  # for example while a file is being edited
            return dg.SensorResult(skip_reason=f"the configuration cannot be used: {error}", cursor=context.cursor)
        start = time.monotonic()
        first = state["next"] if state["next"] < len(keys) else 0
        look = find_changes(current, context.instance, keys[first:], LONGEST_LOOK, state["begun"])
        seconds = state["seconds"] + time.monotonic() - start
        state = {"next": first + look.count, "begun": look.begun, "seconds": seconds, "not_before": 0.0}
        if state["next"] >= len(keys):
            state = {"next": 0, "begun": None, "seconds": 0.0, "not_before": time.time() + REST * seconds - 30}
        reason = None if look.changes else f"{look.count} assets are as they were"
        return dg.SensorResult(asset_events=look.changes, skip_reason=reason, cursor=json.dumps(state))

    return see_what_is_stale
