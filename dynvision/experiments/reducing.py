"""What is kept of a layer's output: every unit, some of them, or its mean and deviations."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynvision.errors import ConfigError
from dynvision.reserved_names import STORE_NAMES

__all__ = ["TRAILING", "Reduction", "check_columns", "check_layer_names", "choose_units", "store_name"]


@dataclass
class Reduction:
    """What is kept of each layer's output at a step.

    Outputs have the shape `[B, C, H, W]` (channels over space), `[B, N, C]` (tokens, each with C channels) or
    `[B, C]`.

    Attributes:
        resolution: `unit` keeps every unit, `channel` the mean m_c and standard deviation s_c over space of each
            channel, `layer` the mean and standard deviation over all units and the standard deviation of m_c over
            channels (`feature_std`). Standard deviations are those of the population (divisor N).
        units: With `unit`: how many units of each layer are kept, chosen at random; `None` keeps all.
        unit_seed: Seeds that choice.
    """

    resolution: str
    units: int | None = None
    unit_seed: int = 0
    _chosen: dict[tuple[str, torch.device], Tensor] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, layer: str, output: Tensor) -> dict[str, Tensor]:
        """Reduce one output.

        Args:
            layer: The layer.
            output: Shape `[B, C, H, W]`, `[B, N, C]` or `[B, C]`.

        Returns:
            float32 and in memory of its own, by variable: `response` of shape `[B, …]`; or `mean` and `std`, `[B, C]`;
            or `mean`, `std` and `feature_std`, `[B]`.

        Raises:
            ConfigError: If the output has another number of dimensions.
        """
        if output.dim() not in (2, 3, 4):
            raise ConfigError(
                f"the layer '{layer}' gives outputs of shape {list(output.shape)}; what can be recorded is "
                "[B, C, H, W], [B, tokens, C] or [B, C]. Record another layer."
            )
        values = output.float()
        if output.dim() == 3:
            values = values.transpose(1, 2)
        if self.resolution == "layer":
            return _over_layer(values)
        if self.resolution == "channel" and values.dim() > 2:
            mean, std = _mean_and_std(values.flatten(2))
            return {"mean": mean, "std": std}
        if self.units is None or self.resolution == "channel" or values[0].numel() <= self.units:
            return {"response": values.clone() if values.data_ptr() == output.data_ptr() else values}
        return {"response": values.flatten(1)[:, self._indices(layer, values)]}

    def coordinates(self, layer: str, shape: tuple[int, ...]) -> dict[str, npt.NDArray[np.int64]]:
        """Return the positions of the chosen units of a layer.

        Args:
            layer: The layer.
            shape: The shape of its output without the batch, as it is recorded: `[C, H, W]`, `[C, tokens]` or `[C]`.

        Returns:
            `channel`, and `y` and `x`, or `token`, each of shape `[units]`; empty if all units are kept.
        """
        if self.resolution != "unit" or self.units is None or int(np.prod(shape)) <= self.units:
            return {}
        positions = np.unravel_index(choose_units(layer, int(np.prod(shape)), self.units, self.unit_seed), shape)
        return dict(zip(TRAILING[len(shape)], (position.astype(np.int64) for position in positions), strict=True))

    def _indices(self, layer: str, values: Tensor) -> Tensor:
        key = (layer, values.device)
        if key not in self._chosen:
            chosen = choose_units(layer, values[0].numel(), self.units or 0, self.unit_seed)
            self._chosen[key] = torch.from_numpy(chosen).to(values.device)
        return self._chosen[key]


TRAILING: Mapping[int, tuple[str, ...]] = {0: (), 1: ("channel",), 2: ("channel", "token"), 3: ("channel", "y", "x")}
"""The names of the dimensions that follow `sample` and `time`, by their number."""


_LONGEST_FOLDER, _LONGEST_NAME = 255, 200
"""Bytes of the name of a folder, and those that are left of a layer's name that is longer."""


def store_name(layer: str) -> str:
    """Return the name of a layer in stores and tables: its own, with `_` for `/`, and `_` after a reserved name.

    A name that is longer than the name of a folder may be is cut, and ends in `~` and a checksum of the whole.
    """
    name = layer.replace("/", "_")
    if len(name.encode()) > _LONGEST_FOLDER:
        start = name.encode()[:_LONGEST_NAME].decode(errors="ignore")
        return f"{start}~{zlib.crc32(name.encode()):08x}"
    return f"{name}_" if name in STORE_NAMES or name.startswith("__") or name == "zarr.json" else name


def check_layer_names(layers: Sequence[str], parameters: Iterable[str]) -> None:
    """Check that a store can keep layers apart from each other and from the swept parameters.

    Args:
        layers: The names of the recorded layers.
        parameters: The names of the swept parameters.

    Raises:
        ConfigError: If two layers would be stored under one name, or one under the name of a parameter.
    """
    stored: dict[str, str] = {}
    swept = set(parameters)
    for layer in layers:
        name = store_name(layer)
        # Zarr, and the file systems of macOS and Windows, tell no letter from its capital.
        if (other := stored.get(name.casefold())) is not None:
            is_same = store_name(other) == name
            shown = (
                f"would both be stored as '{name}'" if is_same else "differ in case only, and a store cannot hold both"
            )
            raise ConfigError(
                f"record.layers: '{other}' and '{layer}' {shown}. Record one of them, or rename one in the network."
            )
        if name in swept:
            raise ConfigError(
                f"record.layers: '{layer}' is also the name of a swept parameter. Give the parameter another name."
            )
        stored[name.casefold()] = layer


def check_columns(columns: Iterable[str], parameters: Iterable[str], layers: Sequence[str], where: str) -> None:
    """Check that a store can keep the columns of a stimulus set apart from swept parameters and layers.

    Args:
        columns: The columns.
        parameters: The names of the swept parameters.
        layers: The names of the recorded layers.
        where: What is recorded, for messages.

    Raises:
        ConfigError: If a column has the name of another part of the store.
    """
    taken = {
        **dict.fromkeys((store_name(layer) for layer in layers), "a recorded layer"),
        **dict.fromkeys(parameters, "a swept parameter"),
    }
    for column in columns:
        if column in taken:
            raise ConfigError(
                f"{where}: the column '{column}' of the table of stimuli has the name of {taken[column]}. Rename it in "
                f"the table, as in '{column}_shown'."
            )


def choose_units(layer: str, count: int, wanted: int, seed: int) -> npt.NDArray[np.int64]:
    """Choose units of a layer at random. The choice depends on name, size and seed alone.

    Args:
        layer: The layer.
        count: How many units it has.
        wanted: How many are chosen, at most `count`.
        seed: Seeds the choice.

    Returns:
        Indices into the flattened output, ascending, shape `[wanted]`.
    """
    generator: Any = np.random.default_rng([seed, zlib.crc32(layer.encode())])
    chosen: npt.NDArray[np.int64] = np.sort(generator.choice(count, wanted, replace=False)).astype(np.int64)
    return chosen


def _mean_and_std(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation over the last dimension.

    The deviations are squared, not the values, so that a small spread around a large mean is not lost.
    """
    mean = values.mean(dim=-1)
    deviations = values - mean.unsqueeze(-1)
    # The norm is 20 times faster here than torch.std.
    return mean, torch.linalg.vector_norm(deviations, dim=-1) / values.shape[-1] ** 0.5


def _over_layer(values: Tensor) -> dict[str, Tensor]:
    mean, std = _mean_and_std(values.flatten(1))
    by_channel = values if values.dim() == 2 else values.flatten(2).mean(dim=2)
    return {"mean": mean, "std": std, "feature_std": _mean_and_std(by_channel)[1]}
