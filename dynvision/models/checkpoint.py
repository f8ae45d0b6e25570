"""Weights that were trained elsewhere: reading a checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dynvision.errors import ConfigError, DamagedFileError, unknown_name
from dynvision.models.weights.explaining import describe_misfit, join_first, list_readings
from dynvision.models.weights.files import find_unknown, read_weights
from dynvision.models.weights.filling import fill_network
from dynvision.models.weights.fitting import Reading, find_best, find_fitting, same_weights
from dynvision.models.weights.formats import SAVE_AGAIN
from dynvision.models.weights.naming import Entry, list_entries, split_key
from dynvision.system.failures import last_line

__all__ = ["load_checkpoint"]


def load_checkpoint(path: Path, network: nn.Module, key: str | None = None) -> None:
    """Load weights that were trained elsewhere into a network.

    The file is safetensors or what `torch.save` wrote, whatever its name ends in. The tensors are looked for wherever
    they are: under keys such as `state_dict` or `model`, with names that begin with `module.`, `_orig_mod.` or
    anything else, next to other modules and settings. The one reading counts under which every name and shape fits the
    network. `num_batches_tracked` may be absent, of tied weights one name is enough, and every type of real numbers is
    taken into the network's own.

    Args:
        path: The file.
        network: Its weights are replaced.
        key: What the full names of the tensors begin with, such as `ema_model` or `state_dict.teacher`, if several
            readings fit; an empty text for names as they stand.

    Raises:
        MissingError: If the file does not exist.
        DamagedFileError: If the file cannot be read without running code, or holds no tensors.
        ConfigError: If the weights do not fit the network (the message names what differs), if several readings fit,
            or if a weight is not a finite number.
    """
    if not network.state_dict():
        raise ConfigError(
            f"{type(network).__name__} has no weights, but {path} is to be loaded: remove 'checkpoint' from "
            "config_models.yaml."
        )
    content = read_weights(path)
    entries, as_code = list_entries(content), find_unknown(content)
    if not entries:
        raise _refuse_code(path, as_code)
    entries = _under_key(entries, key, path)
    weights = _choose(find_fitting(entries, network), key, path)
    if weights is None:
        best = find_best(entries, network)
        weights = _convert(best, network)
    if weights is None and as_code and not best.values:
        raise _refuse_code(path, as_code)
    if weights is None:
        raise ConfigError(
            f"the weights in {path} are not those of {type(network).__name__}: {describe_misfit(best, network)}. "
            "Change 'class' and 'args', or 'checkpoint', in config_models.yaml."
        )
    _check_finite(weights, network, path)
    _fill(network, weights, path)


def _refuse_code(path: Path, as_code: str) -> DamagedFileError:
    reason = f", but {as_code}, and it is not safe to run code from a pickle" if as_code else ""
    return DamagedFileError(f"the checkpoint {path} holds no state dict that fits{reason}. Instead, {SAVE_AGAIN}.")


def _under_key(entries: list[Entry], key: str | None, path: Path) -> list[Entry]:
    """Return the entries whose names begin with the key that the configuration gives."""
    if not key:
        return entries
    parts = split_key(key)
    chosen = [entry for entry in entries if entry.path[: len(parts)] == parts]
    if not chosen:
        above = dict.fromkeys(".".join(e.path[:n]) for e in entries for n in range(1, len(e.path)))
        raise unknown_name("checkpoint_key", key, above, f"config_models.yaml: {path}")
    return chosen


def _choose(readings: list[Reading], key: str | None, path: Path) -> dict[str, Tensor] | None:
    """Return the weights of the one reading that fits, if any does; several are one if their numbers are the same."""
    if key is not None:
        readings = [reading for reading in readings if reading.prefix == split_key(key)] or readings
    different: list[Reading] = []
    for reading in readings:
        if not any(same_weights(reading, other) for other in different):
            different.append(reading)
    if len(different) > 1:
        raise ConfigError(
            f"the checkpoint {path} holds several sets of weights that fit, and they differ. Say which is meant with "
            f"'checkpoint_key' next to 'checkpoint' in config_models.yaml: {list_readings(different)}."
        )
    return different[0].values if different else None


def _convert(reading: Reading, network: nn.Module) -> dict[str, Tensor] | None:
    """Return the weights of a reading that a network's own code can read, which may know older names of its modules."""
    if not reading.values or not reading.missing or not reading.unexpected or reading.unlike:
        return None
    try:
        trial = copy.deepcopy(network)
        trial.load_state_dict({**reading.values, **reading.unexpected})
    except Exception:  # noqa: BLE001  # it is code of a user's; what does not fit is said in any case
        return None
    return trial.state_dict()


def _fill(network: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    try:
        fill_network(network, {**network.state_dict(), **weights})
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise ConfigError(
            f"{type(network).__name__} does not take the weights in {path}, although their names and shapes fit "
            f"({last_line(str(error))}). Look at its method load_state_dict."
        ) from error


def _check_finite(weights: Mapping[str, Tensor], network: nn.Module, path: Path) -> None:
    """Raise if a weight is no finite number in the type that the network has, and the network's own is."""
    own, wrong = network.state_dict(), []
    for name, value in weights.items():
        is_lazy = nn.parameter.is_lazy(own[name])
        cast = value if is_lazy or not value.is_floating_point() else value.to(own[name].dtype)
        finite = cast.isfinite()
        if not finite.all() and (is_lazy or not torch.equal(finite, own[name].isfinite())):
            wrong.append(name)
    if wrong:
        raise ConfigError(
            f"the checkpoint {path} holds weights that are no finite numbers (NaN or infinite): {join_first(wrong)}. "
            "Name another file under 'checkpoint' in config_models.yaml."
        )
