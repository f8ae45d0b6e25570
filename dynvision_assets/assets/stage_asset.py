"""The assets of most stages: build one partition, check it, report it to Dagster."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dynvision.records import Record
from dynvision.system.escaping import escape_markdown, show_text
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.assets.config import config_dep
from dynvision_assets.assets.table import AssetType
from dynvision_assets.automation import REBUILD
from dynvision_assets.instances.run_processes import tag_run
from dynvision_assets.metadata import describe_record, name_tags
from dynvision_assets.partitions import asset_key, deps_of, stage_partitions, target_of
from dynvision_assets.resources import ComputeResource, plain_failures
from dynvision_assets.run_config import BuildConfig

__all__ = ["build_arguments", "make_stage_asset", "report_check"]


def make_stage_asset(workspace: Workspace, key: tuple[str, ...], line: AssetType) -> dg.AssetsDefinition:
    """Make the asset of a key.

    Args:
        workspace: The workspace.
        key: The asset's key.
        line: The stage's line of the table.
    """
    stage = workspace.stages[key[0]]
    config_type = line.config_type
    deps = deps_of(workspace, key)

    @dg.asset(
        key=asset_key(key),
        deps=[*deps, *config_dep(workspace, key)],
        partitions_def=stage_partitions(workspace, key),
        group_name=key[0],
        kinds=set(line.kinds),
        tags=name_tags(workspace, key),
        owners=workspace.config.data.owners,
        description=stage.describe(key),
        code_version=stage.code_version,
        automation_condition=REBUILD if deps else None,
        check_specs=[
            dg.AssetCheckSpec(check.name, asset=asset_key(key), description=check.statement) for check in stage.checks
        ],
    )
    def build(
        context: dg.AssetExecutionContext,
        config: config_type,  # type: ignore[valid-type]  # Dagster reads the fields from the annotation
        compute: dg.ResourceParam[ComputeResource],
    ) -> Iterator[Any]:
        with plain_failures("/".join(key)):
            yield from _build(context, config, compute, key)

    return build


def _build(
    context: dg.AssetExecutionContext, config: BuildConfig, compute: ComputeResource, key: tuple[str, ...]
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """Build the run's partition of an asset, then yield its checks and the materialization.

    Raises:
        dagster.Failure: If it could not be built, or a hard check failed; the partition then counts as not built.
    """
    tag_run(context.instance, context.run.run_id)
    workspace = compute.open_workspace()
    target = target_of(workspace, key, context.partition_key if context.has_partition_key else None)
    (content,) = compute.call(
        "dynvision.workspace.building:build_targets", tell=context.log.info, **build_arguments([target], config)
    )
    record = Record.from_dict(content, target)
    hard = {check.name for check in workspace.stage(target).checks if check.is_hard}
    results = compute.call_here("dynvision.workspace.checking:check_targets", targets=[str(target)])
    for result in results:
        yield report_check(key, result, hard)
    failed = [result for result in results if not result["passed"] and result["name"] in hard]
    if failed:
        compute.call_here("dynvision.workspace.building:reject_targets", targets=[str(target)])
        raise dg.Failure(
            f"{target}: {failed[0]['name']} does not hold: {failed[0]['sentence']}. "
            f"Build it again: dynvision make --force {target}"
        )
    metadata = describe_record(workspace, target, record)
    yield dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(record.data_version))


def build_arguments(targets: list[Target], config: BuildConfig) -> dict[str, Any]:
    """Return the arguments of a library function that builds targets.

    Args:
        targets: What to build.
        config: The settings of the run.

    Returns:
        JSON-ready arguments. `run_settings` is among them only if a setting is not at its default.
    """
    settings = config.run_settings()
    return {
        "targets": [str(target) for target in targets],
        "force": config.force,
        "wait": config.wait,
        **({"run_settings": settings} if settings else {}),
    }


def report_check(key: tuple[str, ...], result: dict[str, Any], hard: set[str]) -> dg.AssetCheckResult:
    """Turn the result of a check into Dagster's.

    Args:
        key: The asset.
        result: The result, as `dynvision.workspace.checking` returns it.
        hard: The names of the checks whose failure fails the run.
    """
    is_hard = result["name"] in hard
    return dg.AssetCheckResult(
        asset_key=asset_key(key),
        check_name=result["name"],
        passed=result["passed"],
        severity=dg.AssetCheckSeverity.ERROR if is_hard else dg.AssetCheckSeverity.WARN,
        description=escape_markdown(result["sentence"]),  # Dagster reads it as Markdown
        metadata={**result["numbers"], "offenders": "\n".join(map(show_text, result["offenders"][:20])) or "none"},
    )
