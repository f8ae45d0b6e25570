"""Reading the tensors of a file as the weights of a network: under which names they fit, and what does not."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dynvision.models.weights.naming import Entry, Path, WantedWeight, is_beside, list_wanted

__all__ = ["Reading", "find_best", "find_fitting", "same_weights"]

_COUNTERS = frozenset({"num_batches_tracked", "total_ops", "total_params"})
"""Names of buffers that change nothing that a network computes; the last two are those of a profiler (thop)."""

Values = dict[str, Tensor]


@dataclass
class Reading:
    """The tensors of a file whose full names begin alike, as weights of a network.

    Attributes:
        prefix: What their names begin with.
        values: The tensors that the network takes, by its own names.
        missing: Names of the network that are not there.
        unexpected: The tensors that are none of the network's, by their names after the prefix.
        unlike: For each name whose tensor has another shape or type, what is said about it.
    """

    prefix: Path
    values: Values = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: Values = field(default_factory=dict)
    unlike: dict[str, str] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether the network takes all tensors, and has all that it needs."""
        return not (self.missing or self.unexpected or self.unlike)

    @property
    def title(self) -> str:
        """The prefix as it is written in a configuration."""
        return ".".join(self.prefix)


def find_fitting(entries: Sequence[Entry], network: nn.Module) -> list[Reading]:
    """Return the readings that fit, those with the shortest prefix first.

    Args:
        entries: The tensors of the file.
        network: The network.
    """
    for without_module in (False, True):
        named, wanted = _drop_module(entries, network) if without_module else (entries, list_wanted(network))
        if len({entry.path for entry in named}) < len(named):
            continue  # two tensors would have one name
        by_prefix = _by_prefix(named)
        fitting = [
            reading
            for variant in _strip_common(wanted)
            for prefix in _promising(by_prefix, variant)
            if (reading := _read(by_prefix[prefix], prefix, variant, network)).fits
        ]
        if fitting:
            return sorted(fitting, key=lambda reading: len(reading.prefix))
    return []


def find_best(entries: Sequence[Entry], network: nn.Module) -> Reading:
    """Return the reading of which most fits: the most weights, and the fewest tensors that are none."""
    wanted, by_prefix = list_wanted(network), _by_prefix(entries)
    counts = [
        (_count_hits(by_prefix[prefix], prefix, variant), prefix, variant)
        for variant in _strip_common(wanted)
        for prefix in by_prefix
    ]
    most = max((count for count, _, _ in counts), default=0)
    if most == 0:
        prefix = _find_largest(entries)
        return _read(by_prefix.get(prefix, []), prefix, wanted, network)
    candidates = [
        _read(by_prefix[prefix], prefix, variant, network) for count, prefix, variant in counts if count == most
    ]
    return min(candidates, key=lambda r: (-len(r.values), len(r.unexpected), len(r.prefix)))


def same_weights(first: Reading, other: Reading) -> bool:
    """Whether two readings give a network the same numbers; counters of batches do not matter."""
    names = [name for name in first.values if name.rpartition(".")[2] not in _COUNTERS]
    return all(name in other.values and _is_same(first.values[name], other.values[name]) for name in names)


def _drop_module(entries: Sequence[Entry], network: nn.Module) -> tuple[list[Entry], list[WantedWeight]]:
    """Drop `module` (of DataParallel) from all names, wherever it stands."""

    def drop(path: Path) -> Path:
        return tuple(part for part in path[:-1] if part != "module") + path[-1:]

    return (
        [Entry(drop(e.path), len(drop((*e.path[: e.level], ""))) - 1, e.value) for e in entries],
        [WantedWeight(w.name, drop(w.path), w.value, w.tie) for w in list_wanted(network)],
    )


def _by_prefix(entries: Sequence[Entry]) -> dict[Path, list[Entry]]:
    """Group entries by each beginning of their names; an entry is in as many groups as its name has parts."""
    groups: dict[Path, list[Entry]] = {}
    for entry in entries:
        for length in range(len(entry.path)):
            groups.setdefault(entry.path[:length], []).append(entry)
    return groups


def _strip_common(wanted: list[WantedWeight]) -> Iterator[list[WantedWeight]]:
    """Yield the weights of a network, then without the first part of their names as long as all have the same one."""
    while wanted:
        yield wanted
        firsts = {weight.path[0] for weight in wanted}
        if len(firsts) > 1 or any(len(weight.path) == 1 for weight in wanted):
            return
        wanted = [WantedWeight(w.name, w.path[1:], w.value, w.tie) for w in wanted]


def _count_hits(entries: Sequence[Entry], prefix: Path, wanted: Sequence[WantedWeight]) -> int:
    """Count the weights whose names are there."""
    paths = {weight.path for weight in wanted}
    return len(paths & {entry.path[len(prefix) :] for entry in entries})


def _promising(by_prefix: dict[Path, list[Entry]], wanted: Sequence[WantedWeight]) -> Iterator[Path]:
    """Yield the prefixes under which one name of each tensor that is needed is there."""
    needed = {weight.tie for weight in wanted if not weight.is_optional}
    by_path = {weight.path: weight.tie for weight in wanted if not weight.is_optional}
    for prefix, entries in by_prefix.items():
        if len(entries) >= len(needed):
            found = {by_path.get(entry.path[len(prefix) :]) for entry in entries}
            if needed <= found:
                yield prefix


def _find_largest(entries: Sequence[Entry]) -> Path:
    """Return what all names in the largest mapping of a file begin with, its keys included."""
    ((largest, _),) = Counter(entry.path[: entry.level] for entry in entries).most_common(1)
    paths = [entry.path for entry in entries if entry.path[: entry.level] == largest]
    shared = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*(path[:-1] for path in paths), strict=False))
    return tuple(parts[0] for parts in shared)


def _read(entries: Sequence[Entry], prefix: Path, wanted: Sequence[WantedWeight], network: nn.Module) -> Reading:
    """Read the entries under a prefix as weights of a network."""
    reading, length = Reading(prefix), len(prefix)
    by_path = {entry.path[length:]: entry for entry in entries}
    of_tie = {weight.tie: weight.path for weight in wanted if weight.path in by_path}
    for weight in wanted:
        entry = by_path.get(weight.path) or by_path.get(of_tie.get(weight.tie, ()))
        if entry is None:
            if not weight.is_optional:
                reading.missing.append(weight.name)
            continue
        problem = _find_problem(weight, entry.value, by_path.get(of_tie[weight.tie]))
        if not problem:
            reading.values[weight.name] = entry.value
        elif not weight.is_optional:
            reading.unlike[weight.name] = problem
    known = {weight.path for weight in wanted}
    firsts = {path[0] for path in known}
    buffers = {name for name, _ in network.named_buffers()}
    for path, entry in by_path.items():
        is_nested = entry.level > length  # another mapping in the file
        ignored = is_nested or path[-1] in _COUNTERS or ".".join(path) in buffers
        if path not in known and not ignored and (path[0] in firsts or not is_beside(path[0])):
            reading.unexpected[".".join(path)] = entry.value
    return reading


def _find_problem(weight: WantedWeight, value: Tensor, tied: Entry | None) -> str:
    """Say why a tensor cannot be a weight; an empty text if it can."""
    wanted = weight.value
    if not isinstance(wanted, Tensor):
        return f"{weight.name} is no tensor in the network"
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        kind = "sparse" if value.layout != torch.strided else "quantized" if value.is_quantized else "without values"
        return f"{weight.name} is {kind} in the file"
    is_lazy = nn.parameter.is_lazy(wanted)
    if not is_lazy and value.shape != wanted.shape:
        return f"{weight.name} is {list(value.shape)}, the network has {list(wanted.shape)}"
    if _kind(value) != _kind(wanted):
        return f"{weight.name} is {_type(value)}, the network has {_type(wanted)}"
    if tied is not None and not _is_same(tied.value, value):
        return f"{weight.name} is one tensor with {'.'.join(tied.path)} in the network, but not in the file"
    return ""


def _is_same(first: Tensor, other: Tensor) -> bool:
    return first is other or (first.dtype == other.dtype and torch.equal(first, other))


def _kind(value: Tensor) -> str:
    if value.is_complex():
        return "complex"
    return "float" if value.is_floating_point() else "bool" if value.dtype == torch.bool else "int"


def _type(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")
