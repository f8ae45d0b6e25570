"""A workspace: one configuration over one root, and what has to be built in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from dynvision.config import Config, Snapshot, load_snapshot
from dynvision.errors import (
    DamagedFileError,
    DynvisionError,
    MissingError,
    UnknownNameError,
    UnreadableError,
    nearest_name,
    unknown_name,
)
from dynvision.paths import Paths
from dynvision.records import Record, rebuild_advice
from dynvision.roots import find_root
from dynvision.stages.base import UNCHECKED, Stage
from dynvision.stages.registry import open_stages
from dynvision.system.failures import unreadable_file
from dynvision.system.json_values import changed_keys
from dynvision.targets import Target
from dynvision.workspace.opening import import_from, read_config
from dynvision.workspace.status import Status, check_readable, compare_inputs

__all__ = ["Status", "Workspace"]


class Workspace:
    """Everything that the configuration defines, and its state on disk.

    Args:
        config: The validated configuration.
        paths: The paths of the root.
    """

    def __init__(self, config: Config, paths: Paths) -> None:
        self.config, self.paths = config, paths
        self.stages = open_stages(config, paths)

    @classmethod
    def open(cls, root: Path | str | None = None, config_folder: Path | str | None = None) -> Workspace:
        """Open the workspace of a root, by default the one that `find_root` returns.

        The configuration is read once, here: see `snapshot`. The root is added to the end of `sys.path`: the
        configuration names networks and datasets by import path, and your own modules may lie in the root.
        """
        root_path = Path(root).absolute() if root is not None else find_root()
        return cls(read_config(root_path, config_folder), Paths(root_path))

    @classmethod
    def of_reading(cls, root: Path | str, config: Mapping[str, Any] | Path | str) -> Workspace:
        """Open the workspace of a root with what was read of the configuration before, perhaps in another process.

        Args:
            root: The root.
            config: What `snapshot` gave. A folder is read now.
        """
        if not isinstance(config, Mapping):
            return cls.open(root, config)
        import_from(Path(root).absolute())
        return cls(load_snapshot(Snapshot.from_dict(config)), Paths(Path(root).absolute()))

    @property
    def snapshot(self) -> dict[str, Any]:
        """The texts of the configuration as they were read when the workspace was opened, as JSON-ready values."""
        assert self.config.snapshot is not None, "a workspace that is opened has read its configuration"
        return self.config.snapshot.to_dict()

    @cached_property
    def keys(self) -> list[tuple[str, ...]]:
        """Every asset key, in the order of the stages."""
        return [key for stage in self.stages.values() for key in stage.keys()]

    def stage(self, target: Target) -> Stage:
        """Return the stage of a target."""
        return self.stages[target.stage]

    def targets(self, key: tuple[str, ...]) -> list[Target]:
        """Return all partitions of an asset as targets."""
        return [Target(key, partition) for partition in self.stages[key[0]].partitions(key)]

    def upstream(self, target: Target) -> list[Target]:
        """Return the targets that a target is directly made from."""
        return self.stage(target).upstream(target)

    def status(self, target: Target, known: dict[Target, Status] | None = None) -> Status:
        """Tell whether a target is up to date with the configuration and everything upstream.

        Args:
            target: The target.
            known: States that were found before; new ones are added. Pass one dictionary to several calls to save time.
        """
        known = {} if known is None else known
        if target not in known:
            known[target] = self._status(target, known)
        return known[target]

    def plan(self, targets: Iterable[Target], force: bool = False) -> list[Target]:
        """Return what has to be built so that targets are up to date, in order.

        Args:
            targets: The targets that are wanted.
            force: Build these even if they are up to date.

        Raises:
            UnreadableError: If something that exists cannot be read, so that nobody knows whether it is up to date.
        """
        wanted = dict.fromkeys(targets)
        known: dict[Target, Status] = {}
        order: dict[Target, None] = {}
        for target in wanted:
            self._collect(target, known, order)
        for target in order:
            if not (force and target in wanted):
                check_readable(target, self.status(target, known))
        for target in wanted:
            if force:
                order[target] = None
        return sorted(order, key=lambda target: (self.stages.order(target), self._depth_in_stage(target)))

    def inputs(self, target: Target) -> dict[Target, Record]:
        """Return the records of everything directly upstream.

        Raises:
            MissingError: If something has not been built, is stale or damaged; names the command that builds it.
        """
        records: dict[Target, Record] = {}
        known: dict[Target, Status] = {}
        unfit: dict[str, list[Target]] = {"missing": [], "damaged": [], "stale": []}
        for upstream in self.upstream(target):
            state = self.status(upstream, known).state
            record = self.read_record(upstream) if state == "fresh" else None
            if record is None:
                unfit["missing" if state == "fresh" else state].append(upstream)
            else:
                records[upstream] = record
        for state_name, targets in unfit.items():
            if targets:
                texts = self.name_together(targets)
                names = " ".join(texts[:8]) + (" …" if len(texts) > 8 else "")
                verb = "is" if len(texts) == 1 else "are"
                why = f" ({known[targets[0]].reason})" if state_name != "missing" else ""
                command = f"dynvision make {target}" if len(texts) > 8 else f"dynvision make {names}"
                raise MissingError(f"{target} is made from {names}, which {verb} {state_name}{why}. Make it: {command}")
        return records

    def name_together(self, targets: Sequence[Target]) -> list[str]:
        """Name targets, an asset by its key alone if every one of its partitions is among them."""
        counts = Counter(target.key for target in targets)
        whole = {key for key, count in counts.items() if count > 2 and count == len(self.targets(key))}
        return list(dict.fromkeys("/".join(t.key) if t.key in whole else str(t) for t in targets))

    def read_record(self, target: Target) -> Record | None:
        """Return the record of a target; `None` if there is none that can be read."""
        try:
            return self.stage(target).read_record(target)
        except (DamagedFileError, OSError):
            return None

    def check_key(self, key: tuple[str, ...]) -> None:
        """Raise if there is no such asset.

        Raises:
            UnknownNameError: If the stage, dataset, model, experiment or subject does not exist; names the nearest.
        """
        text = "/".join(key)
        if key[0] not in self.stages:
            error = unknown_name("stage", key[0], self.stages, text)
            raise UnknownNameError(f"{error}{self._hint_at_key(key[0])}")
        if key in self.keys:
            return
        parts = self.stages[key[0]].key_names
        # Compare with whole keys only: a short one, such as that over all subjects, lacks some parts.
        candidates = [k for k in self.keys if k[0] == key[0] and len(k) > len(parts)]
        for position, part in enumerate(parts, start=1):
            names = list(dict.fromkeys(k[position] for k in candidates))
            if position >= len(key):
                raise UnknownNameError(
                    f"{text}: name the {part}, as in {'/'.join(candidates[0])}. {nearest_name('', names)}"
                )
            if key[position] not in names:
                error = unknown_name(part, key[position], names, text)
                raise UnknownNameError(f"{error}{self._hint_at_folder(part, key[position])}")
            candidates = [k for k in candidates if k[position] == key[position]]
        if len(key) > len(parts) + 1:
            raise unknown_name("asset", text, ["/".join(k) for k in candidates])

    def _hint_at_key(self, name: str) -> str:
        """Say which asset to write if a name that is no stage is an experiment, subject, dataset or model."""
        keys = [key for key in self.keys if name in key[1:]]
        if not keys:
            return ""
        key = min(keys, key=len)
        part = self.stages[key[0]].key_names[key.index(name, 1) - 1]
        return f" '{name}' is {'an' if part[0] in 'aeiou' else 'a'} {part}: write {'/'.join(key)}."

    def _depth_in_stage(self, target: Target) -> int:
        """Return how many targets of its own stage a target builds on, one after the other."""
        depths = [self._depth_in_stage(t) + 1 for t in self.upstream(target) if t.stage == target.stage]
        return max(depths, default=0)

    def _hint_at_folder(self, part: str, name: str) -> str:
        """Say what to do if images lie in the folder of a dataset that the configuration does not name."""
        if part != "dataset" or not os.path.isdir(self.paths.raw(name)):  # noqa: PTH112  # raises nothing
            return ""
        where = self.config.folder / "config_data.yaml"
        return (
            f" {self.paths.relative(self.paths.raw(name))} becomes a dataset when data_resolution in {where} names it."
        )

    def _status(self, target: Target, known: dict[Target, Status]) -> Status:
        record: Record | None = None
        try:
            stage = self.stage(target)
            record = stage.read_record(target)
            if record is None:
                unfinished = stage.describe_unfinished(target)
                return Status("missing", f"it has not been built{'; ' if unfinished else ''}{unfinished}")
            stage.check_files(target, record)
            reason = self._why_stale(target, record, known)
            if not reason and stage.unchecked_mark(target).exists():
                reason = UNCHECKED
        except DamagedFileError as error:
            version = record.data_version if record is not None else None
            return Status("damaged", str(error), version, isinstance(error, UnreadableError))
        except DynvisionError as error:
            reason = f"it cannot be compared with what there is now: {error}"
        except OSError as error:
            output = self.stage(target).output(target)
            unreadable = unreadable_file(error.filename or output, error, rebuild_advice(target))
            version = record.data_version if record is not None else None
            return Status("damaged", str(unreadable), version, isinstance(unreadable, UnreadableError))
        version = record.data_version if record is not None else None
        return Status("stale" if reason else "fresh", reason, version)

    def _why_stale(self, target: Target, record: Record, known: dict[Target, Status]) -> str:
        stage = self.stage(target)
        if record.code_version != stage.code_version:
            return f"the code of the stage '{stage.name}' changed"
        changed = changed_keys(stage.recorded_settings(target, record), stage.settings(target))
        if changed:
            return stage.explain_change(target, changed)
        upstream = stage.upstream(target)
        if set(record.inputs) != {str(t) for t in upstream}:
            return f"it is made from other inputs now: {compare_inputs(record.inputs, upstream)}"
        for source in upstream:
            status = self.status(source, known)
            if status.state != "fresh":
                return f"{source} is {status.state}: {status.reason}"
            if status.data_version != record.inputs[str(source)]:
                return f"{source} changed"
        return ""

    def _collect(self, target: Target, known: dict[Target, Status], order: dict[Target, None]) -> None:
        if target in order or self.status(target, known).state == "fresh":
            return
        for upstream in self.upstream(target):
            self._collect(upstream, known, order)
        order[target] = None
