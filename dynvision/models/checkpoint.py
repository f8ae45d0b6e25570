"""Weights that were trained elsewhere: reading a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dynvision.errors import ConfigError, DamagedFileError, MissingError
from dynvision.system.failures import as_unreadable

__all__ = ["load_checkpoint"]


def load_checkpoint(path: Path, network: nn.Module) -> None:
    """Load a checkpoint into a network: safetensors, or a state dict that `torch.load(weights_only=True)` reads.

    The state dict may be stored under the key `state_dict`, and its names may share a prefix such as `module.` or
    `model.`.

    Args:
        path: The file. One that ends in `.safetensors` is read as such, any other with torch.
        network: Its weights are replaced.

    Raises:
        MissingError: If the file does not exist.
        DamagedFileError: If the file cannot be read, or contains more than tensors.
        ConfigError: If the weights do not fit the network; the message names the first that differ.
    """
    if not path.is_file():
        raise MissingError(
            f"the checkpoint {path} does not exist. Put it there, or change 'checkpoint' in config_models.yaml."
        )
    weights = _strip_prefix(_read(path), network.state_dict())
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split()).rstrip(". ")
        raise ConfigError(
            f"the weights in {path} are not those of {type(network).__name__}: {reason}. Change 'class' and 'args', or "
            "'checkpoint', in config_models.yaml."
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        text = f"the checkpoint {path} cannot be read: {error}"
        raise as_unreadable(error, text) or DamagedFileError(text) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, TypeError, KeyError) as error:
        raise DamagedFileError(f"the checkpoint {path} cannot be read: {error}") from error
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise DamagedFileError(
            f"the checkpoint {path} holds more than tensors, and it is not safe to run code from a pickle: save "
            "network.state_dict(), or safetensors, and name that file"
        ) from error
    weights = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise DamagedFileError(f"the checkpoint {path} holds no state dict, or more than one")
    return weights


def _strip_prefix(weights: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if set(weights) == set(wanted):
        return weights
    prefixes = {name.partition(".")[0] for name in weights}
    if len(prefixes) != 1:
        return weights
    shorter = {name.partition(".")[2]: value for name, value in weights.items()}
    return shorter if set(shorter) == set(wanted) else weights
