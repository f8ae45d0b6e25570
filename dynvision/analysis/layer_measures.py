"""Measures of a layer's responses at each step, over all samples, read block by block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray

from dynvision.analysis.streaming import StepSums, read_blocks

__all__ = ["measure_layer"]

Values = npt.NDArray[np.float64]


def measure_layer(node: xarray.Dataset) -> tuple[dict[str, Values], Values]:
    """Measure a layer at each step.

    With responses r of sample s, channel c and position (y, x), or token:

    - `mean`: ``⟨r⟩`` over samples and units.
    - `std`: ``√(⟨r²⟩ − ⟨r⟩²)`` over samples and units.
    - `sem`: standard error over samples of each sample's mean, ``√(Var_s ⟨r⟩_cyx / (N − 1))``.
    - `spatial_variance`: ``⟨Var_yx r⟩_cs``, how much a channel varies over the image.
    - `feature_variance`: ``⟨Var_c ⟨r⟩_yx⟩_s``, how much the spatial means of channels differ.

    Variances are those of the population. The same measure is the same number at every resolution that has it. From
    channel resolution (spatial mean m, deviation σ), ``⟨r²⟩ = ⟨σ² + m²⟩``; from layer resolution,
    ``⟨Var_yx r⟩_c = Var_cyx r − Var_c ⟨r⟩_yx`` (law of total variance). A random subset of units has no variance of
    space or features, and a layer without space has none of space (0 at layer resolution). A value that is not finite
    makes the measures of its step NaN.

    Args:
        node: The layer's group, with `response` `[sample, time, …]`, or `mean` and `std` `[sample, time]` or
            `[sample, time, channel]`.

    Returns:
        The measures that the resolution has, each of shape `[T]`, in units of the response or its square; and the mean
        over units of each sample at each step, `[N, T]`.

    Raises:
        ValueError: If there is no sample.
    """
    names = [name for name in ("response", "mean", "std", "feature_std") if name in node]
    dimensions = tuple(str(name) for name in node[names[0]].dims)[2:]
    sums = StepSums(node.sizes["time"])
    blocks: list[list[Values]] = []
    with np.errstate(invalid="ignore", over="ignore"):
        for part, block in read_blocks(node, names):
            moments = _moments(block, dimensions)
            sums.add(part, {**moments, "mean_square": moments["mean"] ** 2})
            if part.start == 0:
                blocks.append([])
            blocks[-1].append(moments["mean"])
        measures = _finish(sums)
    return measures, np.concatenate([np.concatenate(row, axis=1) for row in blocks])


def _moments(block: dict[str, Values], dimensions: tuple[str, ...]) -> dict[str, Values]:
    """Compute mean, mean square, spatial and feature variance of each sample and step, each `[samples, steps]`."""
    if "response" in block:
        return _moments_of_units(block["response"], dimensions)
    mean, std = block["mean"], block["std"]
    if not dimensions:
        moments = {"mean": mean, "square": std**2 + mean**2}
        if "feature_std" in block:
            feature = block["feature_std"] ** 2
            moments |= {"spatial": std**2 - feature, "feature": feature}
        return moments
    spatial = std**2
    return {
        "mean": mean.mean(axis=2),
        "square": (spatial + mean**2).mean(axis=2),
        "spatial": spatial.mean(axis=2),
        "feature": mean.var(axis=2),
    }


def _moments_of_units(response: Values, dimensions: tuple[str, ...]) -> dict[str, Values]:
    units = tuple(range(2, response.ndim))
    moments = {"mean": response.mean(axis=units), "square": (response**2).mean(axis=units)}
    if dimensions[:1] != ("channel",):
        return moments
    space = units[1:]
    by_channel = response.mean(axis=space) if space else response
    moments["feature"] = by_channel.var(axis=2)
    if space:
        moments["spatial"] = response.var(axis=space).mean(axis=2)
    return moments


def _finish(sums: StepSums) -> dict[str, Values]:
    mean, square, mean_square = (sums.mean(name) for name in ("mean", "square", "mean_square"))
    if mean is None or square is None or mean_square is None:
        raise ValueError("there is no sample to measure")
    mean = np.where(np.isfinite(mean), mean, np.nan)
    spread = np.maximum(mean_square - mean**2, 0)
    sem = np.sqrt(spread / (sums.count - 1)) if sums.count > 1 else np.full_like(mean, np.nan)
    measures = {"mean": mean, "std": np.sqrt(np.maximum(square - mean**2, 0)), "sem": sem}
    for measure, name in (("spatial_variance", "spatial"), ("feature_variance", "feature")):
        variance = sums.mean(name)
        if variance is not None:
            measures[measure] = np.where(np.isfinite(variance), np.maximum(variance, 0), np.nan)
    return measures
