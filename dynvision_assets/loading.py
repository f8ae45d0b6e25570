"""Results in Python: `load` what a stage made, or find its `path`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.errors import ConfigError, DynvisionError, MissingError, unknown_name
from dynvision.keys import level_text
from dynvision.stages.processed import file_names
from dynvision.stages.responses import ResponsesStage
from dynvision.stages.summary import SummaryStage
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target

if TYPE_CHECKING:
    from dynvision.data.ffcv_dataloader import FFCVStimulusLoader

__all__ = ["ProcessedFile", "load", "path"]


@dataclass(frozen=True)
class ProcessedFile:
    """A `.beton` file that was checked against its sidecar.

    Attributes:
        path: The file.
        sidecar: What the sidecar says: classes, samples, settings, data version.
        normalize: Mean and standard deviation of the dataset's channels, where the config has them.
    """

    path: Path
    sidecar: dict[str, Any]
    normalize: tuple[list[float], list[float]] | None

    def loader(self, **settings: Any) -> FFCVStimulusLoader:
        """Open the file; takes the settings of `get_ffcv_dataloader`, normalized like the dataset by default."""
        from dynvision.data.ffcv_dataloader import get_ffcv_dataloader

        return get_ffcv_dataloader(self.path, **{"normalize": self.normalize, **settings})


def path(
    target: str,
    *,
    partition: str | None = None,
    split: str | None = None,
    group: str | None = None,
    root: Path | str | None = None,
    **levels: Any,
) -> Path:
    """Where a target is on disk, whether or not it has been made.

    Args:
        target: An asset key, or a key with a partition.
        partition: The partition, where the key does not say.
        split: With `group`, another way to name a partition of interim and processed; alone, of raw.
        group: See `split`.
        root: The folder that holds `data/`; by default `$DYNVISION_ROOT` or the current folder.
        levels: The level of each swept parameter of an experiment.
    """
    workspace, chosen = _choose(target, partition, split, group, root, levels)
    if len(chosen) != 1:
        raise ConfigError(f"{target} has {len(chosen)} partitions; say which with partition=")
    return workspace.stage(chosen[0]).output(chosen[0])


def load(
    target: str,
    *,
    partition: str | None = None,
    split: str | None = None,
    group: str | None = None,
    file: str | None = None,
    seed: int | None = None,
    allow_missing: bool = False,
    table: str | None = None,
    root: Path | str | None = None,
    **levels: Any,
) -> Any:
    """Load what a stage made.

    ========================================  =======================================================
    `raw/<dataset>`                           a torchvision dataset of a split, like interim
    `interim/<dataset>`                       a torchvision dataset; labels in the dataset's own order
    `processed/<dataset>`                     a `ProcessedFile`: path, sidecar, `.loader(...)`
    `models/<model>/<dataset>`                the trained network, in evaluation mode
    `responses/<experiment>/<subject>`        `xarray.DataTree`, one node a layer, lazy
    `summary/<experiment>/<subject>`          `pandas.DataFrame`, one row for each condition, time, layer, measure
    `summary/<experiment>`                    `pandas.DataFrame`, one row for each subject and condition
    ========================================  =======================================================

    Args:
        target: An asset key, or a key with a partition (`responses/contrast/rcnn_gratings:0.5`).
        partition: The partition, where the key does not say; by default all conditions of responses.
        split: `train` or `test`.
        group: The class group; `all` by default.
        file: Which file of processed: `train`, `val` or `test`.
        seed: Which network of models; 0 by default.
        table: Which table of a summary, the data behind each picture: `table` (the default), `tuning` (one row a
            condition), `fits` (fitted parameters with confidence intervals), `time_courses`; over all subjects `table`
            or `fits`.
        allow_missing: Load the conditions that are there, NaN elsewhere, instead of raising.
        root: The folder that holds `data/`; by default `$DYNVISION_ROOT` or the current folder.
        levels: The level of each swept parameter, to choose conditions of responses: `contrast=0.5`.

    Raises:
        UnknownNameError: There is no such asset or partition; the message names the nearest.
        MissingError: It has not been made; the message names the command that makes it.
        DamagedFileError: A file is not what was written.
    """
    workspace, chosen = _choose(target, partition, split, group, root, levels, seed)
    stage = chosen[0].stage
    if table is not None and stage != "summary":
        raise TypeError(f"{target} is no summary and has no table '{table}'")
    if stage == "responses":
        return _load_responses(workspace, chosen, allow_missing)
    if len(chosen) != 1:
        names = ", ".join(str(t.partition) for t in chosen)
        raise ConfigError(f"{target} has the partitions {names}; say which with partition=, or split= and group=")
    _require(workspace, chosen)
    loaders: dict[str, Callable[[Workspace, Target], Any]] = {
        "raw": _load_raw,
        "interim": _load_interim,
        "processed": lambda w, t: _load_processed(w, t, file),
        "models": _load_model,
        "summary": lambda w, t: _load_summary(w, t, table),
    }
    return loaders[stage](workspace, chosen[0])


def _choose(
    target: str,
    partition: str | None,
    split: str | None,
    group: str | None,
    root: Path | str | None,
    levels: dict[str, Any],
    seed: int | None = None,
) -> tuple[Workspace, list[Target]]:
    workspace = Workspace.open(root)
    chosen = parse_target(workspace, target)
    key = chosen[0].key
    stage = workspace.stages[key[0]]
    if partition is None:
        partition = _partition_of(key[0], split, group, seed)
    elif split or group or seed is not None:
        raise ConfigError("give either partition=, or split=, group= and seed=")
    if partition is not None:
        chosen = [Target(key, stage.parse_partition(key, partition))]
    if levels:
        if not isinstance(stage, ResponsesStage):
            raise TypeError(f"{target} is no response and has no level '{next(iter(levels))}'")
        chosen = _select_levels(workspace, stage, chosen, levels)
    return workspace, chosen


def _partition_of(stage: str, split: str | None, group: str | None, seed: int | None) -> str | None:
    if stage == "raw":
        return split
    if stage in ("interim", "processed") and (split or group):
        return f"{split or 'train'}_{group or 'all'}"
    if stage == "models":
        return f"{group or 'all'}_s{seed or 0}"
    return None


def _select_levels(
    workspace: Workspace, stage: ResponsesStage, targets: list[Target], levels: dict[str, Any]
) -> list[Target]:
    valid = workspace.config.experiments[targets[0].key[1]].levels()
    for name, level in levels.items():
        if name not in valid:
            raise unknown_name("parameter", name, valid)
        if level_text(level) not in valid[name]:
            raise unknown_name(f"level of '{name}'", level, valid[name])
    wanted = {name: level_text(level) for name, level in levels.items()}
    return [t for t in targets if wanted.items() <= stage.condition(t).items()]


def _require(workspace: Workspace, targets: list[Target]) -> None:
    missing = [t for t in targets if workspace.stage(t).read_record(t) is None]
    if missing:
        names = ", ".join(str(t) for t in missing[:5]) + (" …" if len(missing) > 5 else "")
        command = str(missing[0]) if len(missing) == 1 else "/".join(missing[0].key)
        raise MissingError(f"{names} has not been made. Make it: dynvision make {command}")


def _load_raw(workspace: Workspace, target: Target) -> Any:
    from dynvision.data.group_folder import GroupFolder

    record = workspace.stage(target).read_record(target)
    return GroupFolder(workspace.stage(target).output(target), workspace.paths, record=record)


def _load_interim(workspace: Workspace, target: Target) -> Any:
    from dynvision.data.group_folder import GroupFolder

    return GroupFolder(workspace.stage(target).output(target), workspace.paths)


def _load_processed(workspace: Workspace, target: Target, file: str | None) -> ProcessedFile:
    from dynvision.data.betons.sidecars import verify_beton

    names = file_names(str(target.partition).partition("_")[0])
    name = file or names[0]
    if name not in names:
        raise unknown_name("file", name, names, str(target))
    beton = workspace.stage(target).output(target) / f"{name}.beton"
    statistics = workspace.config.data.data_statistics.get(target.key[1])
    normalize = (statistics.mean, statistics.std) if statistics else None
    return ProcessedFile(beton, verify_beton(beton), normalize)


def _load_model(workspace: Workspace, target: Target) -> Any:
    from dynvision.models.loading import rebuild_network

    record = workspace.stage(target).read_record(target)
    if record is None:
        raise DynvisionError(f"{target} disappeared while it was loaded")
    return rebuild_network(record, workspace.stage(target).output(target) / "trained.safetensors")


def _load_responses(workspace: Workspace, targets: list[Target], allow_missing: bool) -> Any:
    from dynvision.experiments.reading import combine_conditions

    stage = workspace.stages["responses"]
    assert isinstance(stage, ResponsesStage)
    if allow_missing:
        there = [t for t in targets if stage.read_record(t) is not None]
        _require(workspace, targets[:1] if not there else [])
    else:
        _require(workspace, targets)
        there = targets
    experiment = workspace.config.experiments[targets[0].key[1]]
    conditions = [experiment.level_values(dict(stage.condition(t))) for t in targets]
    levels = {name: list(dict.fromkeys(c[name] for c in conditions)) for name in conditions[0]}
    stores = [(c, stage.output(t)) for c, t in zip(conditions, targets, strict=True) if t in there]
    return combine_conditions(stores, levels)


def _load_summary(workspace: Workspace, target: Target, table: str | None) -> Any:
    import pandas as pd

    stage = workspace.stage(target)
    assert isinstance(stage, SummaryStage)
    names = stage.tables(target)
    name = table or names[0]
    if name not in names:
        raise unknown_name("table", name, names, str(target))
    return pd.read_parquet(stage.output(target) / f"{name}.parquet")
