"""Schema of `config_models.yaml`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from dynvision.config.limits import Amplitude, BatchSize, KeyText, PlainSettings, PlainText, Range
from dynvision.config.names import ImportPath, Name, Section
from dynvision.config.patterns import check_placeholders
from dynvision.config.recording import RecordConfig, RunConfig

__all__ = ["ModelConfig", "TrainingConfig"]


_RECORD, _RUN = RecordConfig(), RunConfig()  # pydantic would copy a default value for each model


class TrainingConfig(Section):
    """How a network is trained; times are in steps of the network."""

    epochs: int = Field(10, ge=1, le=100_000)
    n_timesteps: int = Field(8, ge=1, le=100_000)
    loss_from: int = Field(4, ge=0, le=100_000, description="first step whose output is scored")
    batch_size: BatchSize = 64
    learning_rate: float = Field(2e-3, gt=0, le=1000)
    weight_decay: float = Field(1e-4, ge=0, le=1000)
    clip: float | None = Field(None, gt=0, le=1e9, description="longest gradient of an update; a longer one is scaled")
    sensor_noise: Amplitude = Field(0.0, description="in units of the normalized image")
    contrast_range: Range = (1.0, 1.0)
    transform: Name | None = Field(None, description="a preset of transform_presets")
    datasets: dict[Name, PlainSettings] = Field(
        default_factory=dict, description="settings that differ for one dataset"
    )

    @model_validator(mode="after")
    def _times_fit(self) -> TrainingConfig:
        if self.loss_from >= self.n_timesteps:
            raise ValueError(
                f"loss_from ({self.loss_from}) must be smaller than n_timesteps ({self.n_timesteps}): "
                "no step would be scored"
            )
        low, high = self.contrast_range
        if not 0 < low <= high <= 1:
            raise ValueError("contrast_range is [lowest, highest] within (0, 1]")
        for name, changes in self.datasets.items():
            if "datasets" in changes:
                raise ValueError(f"'datasets.{name}' cannot contain 'datasets' again")
            TrainingConfig(**{**self.model_dump(exclude={"datasets"}), **changes})
        return self

    def for_dataset(self, dataset: str) -> TrainingConfig:
        """Return the settings for one dataset: its own, and the general ones for everything else."""
        return TrainingConfig(**{**self.model_dump(exclude={"datasets"}), **self.datasets.get(dataset, {})})


class ModelConfig(Section):
    """A network: its class by import path, the class's arguments, and its training or existing weights.

    With `training: null` the network keeps its initial weights. `checkpoint` names weights (safetensors, or what
    `torch.save` wrote without code); it may contain `{dataset}`, `{group}` and `{seed}` if there is one file for each.
    `time_axis` is that of a network that takes a whole sequence of frames at once: 0 for `[T, B, C, H, W]`, 1 for
    `[B, T, C, H, W]`. `checkpoint_key` says which of several weights in a file are meant. A checkpoint is not trained
    further unless `training` is given too.
    """

    class_path: ImportPath = Field(alias="class")
    args: PlainSettings = Field(default_factory=dict)
    checkpoint: PlainText | None = Field(None, description="weights to start from; relative to the root")
    checkpoint_key: KeyText | None = Field(None, description="what their names in the file begin with")
    time_axis: Literal[0, 1] | None = Field(
        None, description="where the steps are, if the network takes a whole sequence at once"
    )
    training: TrainingConfig | None = Field(default_factory=TrainingConfig)
    record: RecordConfig = Field(default_factory=lambda: _RECORD)
    run: RunConfig = Field(default_factory=lambda: _RUN)

    @model_validator(mode="before")
    @classmethod
    def _checkpoint_is_trained(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("checkpoint") is not None:
            return {"training": None, **values}
        return values

    @model_validator(mode="after")
    def _key_has_a_checkpoint(self) -> ModelConfig:
        if self.checkpoint_key is not None and self.checkpoint is None:
            raise ValueError("'checkpoint_key' says which weights of a 'checkpoint' are meant, and there is none")
        return self

    @field_validator("checkpoint")
    @classmethod
    def _placeholders_are_known(cls, checkpoint: str | None) -> str | None:
        if checkpoint is not None:
            check_placeholders(checkpoint, ("dataset", "group", "seed"))
        return checkpoint
