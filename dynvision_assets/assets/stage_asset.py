"""The assets of the stages: build the partitions of a run, check each, and report it to Dagster."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from dynvision.errors import ConfigError
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.scheduling import Schedule, ScheduleOptions
from dynvision.workspace.unused_patterns import describe_unused_patterns
from dynvision_assets.assets.config import config_dep
from dynvision_assets.assets.table import AssetType
from dynvision_assets.automation import rebuild_condition
from dynvision_assets.instances.run_processes import tag_run
from dynvision_assets.metadata import name_tags
from dynvision_assets.pages.groups import name_group
from dynvision_assets.partitions import asset_key, deps_of, stage_partitions, target_of
from dynvision_assets.resources import ComputeResource, plain_failures
from dynvision_assets.run_config import BuildConfig
from dynvision_assets.runs.events import OWN_EVENTS
from dynvision_assets.runs.freshness import describe_freshness, freshness_spec
from dynvision_assets.runs.observing import observe_config
from dynvision_assets.runs.reporting import Event, Reporter
from dynvision_assets.runs.resuming import find_forced
from dynvision_assets.runs.tags import describe_run
from dynvision_assets.serving.links import report_url

__all__ = ["make_stage_asset"]

ABOUT_SELECTIONS = (
    "A selection of partitions is one run, a selection with gaps one for each stretch. The job `make` and the "
    "command `dynvision make` do it in one, and build what is missing upstream."
)
"""What the description of an asset with partitions says of runs."""


def make_stage_asset(workspace: Workspace, key: tuple[str, ...], line: AssetType) -> dg.AssetsDefinition:
    """Make the asset of a key. A selection of its partitions is one run.

    Args:
        workspace: The workspace.
        key: The asset's key.
        line: The stage's line of the table.
    """
    stage = workspace.stages[key[0]]
    config_type = line.config_type
    deps = deps_of(workspace, key)
    url = report_url(workspace, key)
    checks = [
        *(dg.AssetCheckSpec(check.name, asset=asset_key(key), description=check.statement) for check in stage.checks),
        freshness_spec(key),
    ]

    @_quiet_asset(
        key=asset_key(key),
        deps=[*deps, *config_dep(workspace, key)],
        partitions_def=stage_partitions(workspace, key),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=name_group(workspace, key),
        kinds=set(line.kinds),
        tags=name_tags(workspace, key),
        owners=workspace.config.data.owners,
        metadata={} if url is None else {"page": dg.MetadataValue.url(url)},
        description=_describe(workspace, key, url),
        code_version=stage.code_version,
        automation_condition=rebuild_condition(len(deps)) if deps else None,
        check_specs=checks,
    )
    def build(
        context: dg.AssetExecutionContext,
        config: config_type,  # type: ignore[valid-type]  # Dagster reads the fields from the annotation
        compute: ComputeResource,
    ) -> Iterator[Any]:
        with plain_failures("/".join(key)), compute.closed_if_stopped():
            yield from _build(context, config, compute, key)
            yield describe_freshness(compute.open_workspace(), key)
        # The partitions have events of their own. This one lets the steps go on that are made from the asset.
        yield dg.Output(None, metadata=OWN_EVENTS)
        yield from (dg.Output(None, check.get_python_identifier()) for check in checks)

    return build


def _describe(workspace: Workspace, key: tuple[str, ...], url: str | None) -> str:
    """Return the description of an asset. A link to its page stands there, too: metadata of a definition come last."""
    stage = workspace.stages[key[0]]
    link = "" if url is None else f"[Open the page]({url}) of the stimulus, time courses, tuning and numbers."
    return "\n\n".join(filter(None, (stage.describe(key), link, ABOUT_SELECTIONS if stage.dimensions(key) else "")))


def _quiet_asset(**options: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make an asset of a function, without a warning that single runs are in beta. Our tests would notice a change."""

    def make(function: Callable[..., Any]) -> dg.AssetsDefinition:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)
            asset: dg.AssetsDefinition = dg.asset(**options)(function)
        return asset

    return make


def _build(
    context: dg.AssetExecutionContext, config: BuildConfig, compute: ComputeResource, key: tuple[str, ...]
) -> Iterator[Event]:
    """Build the run's partitions of an asset, and yield the checks and the materialization of each.

    Raises:
        DynvisionError: If one could not be built, or a hard check of it failed; it then counts as not built, and the
            others are kept.
    """
    tag_run(context.instance, context.run.run_id, compute.run_tags)
    workspace = compute.open_workspace()
    targets = _targets(context, workspace, key)
    run_id = context.run.run_id
    context.instance.add_run_tags(run_id, describe_run(workspace, context.instance, run_id, targets))
    for sentence in describe_unused_patterns(workspace):
        context.log.warning(sentence)
    options = ScheduleOptions(
        forced=find_forced(workspace, context.instance, run_id, targets if config.force else ()),
        wait=config.wait,
        look_again=False,
        run_settings=config.run_settings(),
        tell=context.log.info,
        begin=lambda target: observe_config(workspace, context.instance, target),
    )
    schedule = Schedule(workspace, targets, compute.open_engine(context.log.info), options)
    yield from Reporter(workspace, context.instance, every=True).report(schedule)


def _targets(context: dg.AssetExecutionContext, workspace: Workspace, key: tuple[str, ...]) -> list[Target]:
    """Return what a run builds: the partitions that it selects, in their order, or the asset that has none.

    Raises:
        ConfigError: If the asset has partitions and the run selects none.
    """
    if not workspace.stages[key[0]].dimensions(key):
        return [target_of(workspace, key, None)]
    if not context.op_execution_context.has_partitions:
        raise ConfigError(f"{'/'.join(key)} has partitions, and the run names none. Choose some, or all of them.")
    return [target_of(workspace, key, name) for name in context.partition_keys]
