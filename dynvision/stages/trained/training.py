"""What a model says of its training: the settings of older records, why it is stale, and its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.config.sections.models import TrainingConfig
from dynvision.models.making.notes import checkpoint_folder
from dynvision.records import Record
from dynvision.stages.base.run_settings import RunSettings
from dynvision.system.json_values import changed_keys
from dynvision.system.machine import choose_device

if TYPE_CHECKING:
    from dynvision.models.making.checkpoints import Checkpoints

__all__ = ["explain_training", "open_checkpoints", "settings_with_threads", "training_settings"]


def training_settings(training: TrainingConfig | None) -> dict[str, Any] | None:
    """Return the settings of a training of one dataset, as they enter a record."""
    return None if training is None else training.model_dump(mode="json", exclude={"datasets"})


def settings_with_threads(record: Record, now: TrainingConfig | None) -> dict[str, Any]:
    """Return the settings of a record with the threads of its training.

    Before threads were a setting, they were noted among the details. A training on a GPU does not depend on them, so
    those that are set now will do there.

    Args:
        record: The record of a model.
        now: The settings of its training today.
    """
    training = record.config.get("training")
    if training is None or "threads" in training:
        return record.config
    is_on_cpu = record.details.get("device", "cpu") == "cpu"
    threads = record.details.get("threads") if is_on_cpu or now is None else now.threads
    return {**record.config, "training": {**training, "threads": threads}}


def explain_training(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say which settings of a training changed."""
    names = changed_keys(before, now)
    if names != ["threads"]:
        return f"the configuration changed: {', '.join(f'training.{name}' for name in names)}"
    return (
        f"it was trained with {before['threads']} threads, and training.threads is {now['threads']}; the last digits "
        f"of its weights depend on it. Set threads: {before['threads']} to keep it"
    )


def open_checkpoints(
    output: Path, name: str, made_from: Mapping[str, Any], run: RunSettings, epochs: Sequence[int]
) -> Checkpoints:
    """Return the checkpoints of a training, which are used only by one that would end in the same weights.

    Args:
        output: The folder of the model.
        name: The target, for messages.
        made_from: The settings that it depends on, the data version of each input, the version of the code.
        run: How the present run computes.
        epochs: The epochs after which weights are kept.

    Raises:
        ConfigError: If this machine does not have the device of the run.
    """
    import torch

    from dynvision.models.making.checkpoints import Checkpoints

    identity = {
        **{key: value for key, value in made_from.items() if key != "training"},
        **{f"training.{key}": value for key, value in made_from["training"].items()},
        "device": choose_device(run.device).type,
        "torch": torch.__version__,
    }
    return Checkpoints(checkpoint_folder(output), name, identity, epochs, run.fresh)
