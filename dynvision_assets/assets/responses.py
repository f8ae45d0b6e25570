"""`responses/<experiment>/<subject>`: recorded responses, one partition a condition.

A selection of conditions is one run: network and images are loaded once. The graph has two steps:
`show_stimuli` records the responses, reads them back and puts them in place;
`report_conditions` gives Dagster each condition's own numbers and data version.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dynvision.errors import DataError
from dynvision.experiments.details import ResponseDetails
from dynvision.records import Record
from dynvision.system.escaping import escape_markdown
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.assets.stage_asset import build_arguments
from dynvision_assets.assets.table import AssetType, register
from dynvision_assets.automation import REBUILD
from dynvision_assets.instances.run_processes import tag_run
from dynvision_assets.metadata import describe_record, name_tags
from dynvision_assets.partitions import asset_key, deps_of, partition_key, stage_partitions, target_of
from dynvision_assets.resources import ComputeResource, plain_failures
from dynvision_assets.run_config import ResponsesConfig

__all__ = ["ASSET_TYPE", "make_responses_asset", "report_conditions", "show_stimuli"]

COMPLETE = "responses_are_complete_and_finite"
REPORTED = "every_condition_has_its_data_version"


def _targets(context: dg.AssetExecutionContext, workspace: Workspace) -> list[Target]:
    (key,) = context.assets_def.keys
    return [target_of(workspace, key.path, name) for name in context.partition_keys]


@dg.op(
    ins={"model": dg.In(dg.Nothing), "images": dg.In(dg.Nothing)},
    out={"result": dg.Out(dg.Nothing), "check": dg.Out(io_manager_key="step_io_manager")},
    description="Shows every image under all conditions of the run, streams the responses to stores, reads them back "
    "(complete, finite, the right shapes and contents) and puts them in place.",
)
def show_stimuli(
    context: dg.AssetExecutionContext, config: ResponsesConfig, compute: dg.ResourceParam[ComputeResource]
) -> Iterator[Any]:
    """Record the responses. If they are damaged or not finite, report a failed check and no materialization."""
    with plain_failures("responses"):
        yield from _show(context, config, compute)


def _show(context: dg.AssetExecutionContext, config: ResponsesConfig, compute: ComputeResource) -> Iterator[Any]:
    tag_run(context.instance, context.run.run_id)
    targets = _targets(context, compute.open_workspace())
    (key,) = context.assets_def.keys
    try:
        records = compute.call(
            "dynvision.workspace.building:build_targets", tell=context.log.info, **build_arguments(targets, config)
        )
    except dg.Failure as failure:
        if isinstance(failure.__cause__, DataError):  # and its subclass DamagedFileError
            yield _check(key, COMPLETE, False, str(failure.description), {})
        raise
    sentence, numbers = _count([Record.from_dict(record, key.to_user_string()) for record in records])
    yield _check(key, COMPLETE, True, sentence, numbers)
    yield dg.Output(None, "result")


@dg.op(
    ins={"recorded": dg.In(dg.Nothing)},
    out={"check": dg.Out(io_manager_key="step_io_manager")},
    description="Reports each condition's numbers, picture and data version; Dagster gives a whole run only one.",
)
def report_conditions(context: dg.AssetExecutionContext, compute: dg.ResourceParam[ComputeResource]) -> Iterator[Any]:
    """Report every condition after the run's own materialization."""
    with plain_failures("responses"):
        yield from _report_all(context, compute)


def _report_all(context: dg.AssetExecutionContext, compute: ComputeResource) -> Iterator[Any]:
    workspace = compute.open_workspace()
    (key,) = context.assets_def.keys
    records = []
    for target in _targets(context, workspace):
        record = workspace.stage(target).read_record(target)
        if record is None:
            raise dg.Failure(f"{target} disappeared. Make it again: dynvision make {target}")
        _report(context, workspace, key, target, record)
        records.append(record)
    sentence, numbers = _count(records)
    # The UI ignores a check that is older than the newest materialization: report its result again.
    context.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=COMPLETE,
            passed=True,
            description=escape_markdown(sentence),
            metadata=_as_metadata(numbers),
        )
    )
    versions = {record.data_version for record in records}
    sentence = f"{len(versions)} data versions reported"
    yield _check(key, REPORTED, True, sentence, {"conditions": len(versions)})


def make_responses_asset(workspace: Workspace, key: tuple[str, ...], line: AssetType) -> dg.AssetsDefinition:
    """Make the asset of an experiment and a subject."""
    stage = workspace.stages[key[0]]
    from_model, from_images = deps_of(workspace, key)
    check_names = {name: f"{asset_key(key).to_python_identifier()}_{name}" for name in (COMPLETE, REPORTED)}

    def responses(model: Any, images: Any) -> Any:
        result, check = show_stimuli(model=model, images=images)
        return {"result": result, check_names[COMPLETE]: check, check_names[REPORTED]: report_conditions(result)}

    return dg.graph_asset(
        key=asset_key(key),
        ins={"model": _nothing_from(from_model), "images": _nothing_from(from_images)},
        partitions_def=stage_partitions(workspace, key),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=stage.name,
        kinds=set(line.kinds),
        tags=name_tags(workspace, key),
        owners=workspace.config.data.owners,
        automation_condition=REBUILD,
        description=stage.describe(key),
        code_version=stage.code_version,
        check_specs=[
            dg.AssetCheckSpec(COMPLETE, asset=asset_key(key), description="Everything shown was recorded."),
            dg.AssetCheckSpec(REPORTED, asset=asset_key(key), description="Dagster knows each condition's version."),
        ],
    )(responses)


ASSET_TYPE = register(
    AssetType(
        "responses", frozenset({"zarr", "pytorch"}), make_responses_asset, ResponsesConfig, config_op="show_stimuli"
    )
)


def _nothing_from(dep: dg.AssetDep) -> dg.AssetIn:
    return dg.AssetIn(dep.asset_key, partition_mapping=dep.partition_mapping, dagster_type=dg.Nothing)


def _count(records: list[Record]) -> tuple[str, dict[str, Any]]:
    """Say how much was read back, as a sentence and as numbers."""
    trials = sum(ResponseDetails.from_record(record).samples for record in records)
    numbers = {"conditions": len(records), "trials": trials}
    return f"{numbers['conditions']} conditions, {numbers['trials']} trials read back", numbers


def _as_metadata(numbers: dict[str, int]) -> dict[str, dg.MetadataValue[Any]]:
    return {name: dg.MetadataValue.int(value) for name, value in numbers.items()}


def _check(key: dg.AssetKey, name: str, passed: bool, sentence: str, numbers: dict[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key, check_name=name, passed=passed, description=escape_markdown(sentence), metadata=numbers
    )


def _report(
    context: dg.AssetExecutionContext, workspace: Workspace, key: dg.AssetKey, target: Target, record: Record
) -> None:
    partition = partition_key(workspace, target)
    context.instance.report_runless_asset_event(
        dg.AssetMaterialization(
            key,
            partition=partition,
            metadata={
                **describe_record(workspace, target, record),
                "run": dg.MetadataValue.dagster_run(context.run.run_id),
            },
            tags={
                "dagster/data_version": record.data_version,
                "dagster/data_version_is_user_provided": "true",
                "dagster/code_version": record.code_version,
                **{f"dagster/input_data_version/{name.partition(':')[0]}": v for name, v in record.inputs.items()},
                **_input_pointers(context.instance, key, str(partition)),
            },
        )
    )


def _input_pointers(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str) -> dict[str, str]:
    """Return the events that were the inputs of the run's own materialization.

    Without them the UI calls a partition unsynced.
    """
    records = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=[partition]), limit=1).records
    event = records[0].asset_materialization if records else None
    tags = event.tags if event is not None and event.tags else {}
    return {name: value for name, value in tags.items() if name.startswith("dagster/input_event_pointer/")}
