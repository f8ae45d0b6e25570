"""Schema of `config_models.yaml`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from dynvision.config.sections.data import Statistics
from dynvision.config.sections.recording import RecordConfig, RunConfig
from dynvision.config.values.limits import Amplitude, BatchSize, KeyText, PlainSettings, PlainText, Range, Threads
from dynvision.config.values.names import ImportPath, Name, Section, repeats
from dynvision.config.values.patterns import check_placeholders

__all__ = ["IMAGENET", "IMAGENET_STATISTICS", "IMAGE_FOLDER", "THREADS", "ModelConfig", "TrainingConfig"]

IMAGENET = "imagenet"
"""The word for ImageNet's 1,000 classes, and for the mean and deviation of its images."""

IMAGENET_STATISTICS = Statistics(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
"""Mean and deviation that the transforms of torchvision's weights for ImageNet use."""

_OTHER_STATISTICS = {
    "efficientnet_v2_l": Statistics(mean=[0.5] * 3, std=[0.5] * 3),
    "IMAGENET1K_FEATURES": Statistics(mean=[0.48235, 0.45882, 0.40784], std=[0.00392156862745098] * 3),  # of vgg16
}
"""The statistics of those of torchvision's networks, and of their weights, that have others than ImageNet's."""

THREADS = 2
"""Threads of torch by which a network is built and trained unless its settings say otherwise.

A fixed number, because the last digits of a training depend on it: on another machine it ends in the same weights."""

_FRAMES_OF_VIDEO = ("torchvision.models.video", "torchvision.models.optical_flow")


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


ClassNames = list[Annotated[PlainText, BeforeValidator(_as_text)]]

IMAGE_FOLDER = "imagefolder"
"""The order of classes by the names of their folders as text, which torchvision's `ImageFolder` has."""

Index = Annotated[int, Field(strict=True, ge=0)]

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
    threads: Threads = Field(THREADS, description="of torch; the last digits of the weights depend on it")
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
    `checkpoint_key` says which of several weights in a file are meant. A checkpoint is not trained further unless
    `training` is given too. `class_order` says which class each output stands for, if that is not the dataset's order:
    `imagefolder` (folders sorted as text: 0, 1, 10, 2), a file with one class a line, or a list of classes.

    A network that is not trained here may bring classes of its own (`classes`: `imagenet`, a file with a name a line,
    or a list), and say how its images were standardized in its training (`statistics`: `imagenet`, or mean and std).

    `time_axis` is that of a network that takes a whole sequence of frames at once: 0 for `[T, B, C, H, W]`, 1 for
    `[B, T, C, H, W]`.
    """

    class_path: ImportPath = Field(alias="class")
    args: PlainSettings = Field(default_factory=dict)
    checkpoint: PlainText | None = Field(None, description="weights to start from; relative to the root")
    checkpoint_key: KeyText | None = Field(None, description="what their names in the file begin with")
    class_order: PlainText | list[Index | PlainText] | None = Field(None, description="the class of each output")
    time_axis: Literal[0, 1] | None = Field(
        None, description="where the steps are, if the network takes a whole sequence at once"
    )
    training: TrainingConfig | None = Field(default_factory=TrainingConfig)
    classes: PlainText | ClassNames | None = Field(None, description="the network's own")
    statistics: Statistics | Literal["imagenet"] | None = Field(None, description="of the images of its own training")
    record: RecordConfig = Field(default_factory=lambda: _RECORD)
    run: RunConfig = Field(default_factory=lambda: _RUN)

    @model_validator(mode="before")
    @classmethod
    def _checkpoint_is_trained(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("checkpoint") is not None:
            return {"training": None, **values}
        return values

    @field_validator("class_order")
    @classmethod
    def _order_is_one(cls, order: str | list[int | str] | None) -> str | list[int | str] | None:
        if isinstance(order, list) and (twice := repeats([str(name) for name in order])):
            raise ValueError(f"'{twice[0]}' is listed twice; name each class once")
        is_word = isinstance(order, str) and order.lower() == IMAGE_FOLDER
        return IMAGE_FOLDER if is_word else order or None

    @model_validator(mode="after")
    def _order_is_of_ready_networks(self) -> ModelConfig:
        if self.class_order is not None and self.classes is not None:
            raise ValueError(
                "'classes' names the network's own outputs in order, and 'class_order' orders those of a dataset: give "
                "one of them"
            )
        if self.class_order is not None and self.training is not None:
            raise ValueError(
                "'class_order' is for a network that is not trained here (training: null); one that is trained here "
                "has its classes in the dataset's order"
            )
        return self

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

    @field_validator("classes")
    @classmethod
    def _names_differ(cls, classes: str | list[str] | None) -> str | list[str] | None:
        if classes == []:
            raise ValueError("an empty list names no class; leave it out, and the outputs are numbered")
        if isinstance(classes, list) and (twice := repeats(classes)):
            raise ValueError(f"'{twice[0]}' is listed twice; give each class a name of its own")
        return classes

    @model_validator(mode="after")
    def _own_settings_are_of_ready_networks(self) -> ModelConfig:
        given = next((name for name in ("classes", "statistics") if getattr(self, name) is not None), None)
        if given is not None and self.training is not None:
            source = "the classes" if given == "classes" else "data_statistics"
            raise ValueError(
                f"'{given}' is for a network that is not trained here (training: null); one that is trained here has "
                f"{source} of the dataset that it is trained on"
            )
        return self

    @property
    def is_from_torchvision(self) -> bool:
        """Whether the class or function is one of torchvision's for single images."""
        module = self.class_path.partition(":")[0]
        return f"{module}.".startswith("torchvision.models.") and not module.startswith(_FRAMES_OF_VIDEO)

    @property
    def own_statistics(self) -> Statistics | None:
        """Mean and deviation of the images of the network's own training; `None` if nothing says them."""
        if self.statistics is not None:
            return self.statistics if isinstance(self.statistics, Statistics) else IMAGENET_STATISTICS
        if self.training is not None or not self.is_from_torchvision:
            return None
        weights = str(self.args.get("weights")).rpartition(".")[2]  # written with or without the name of its class
        names = (weights, self.class_path.partition(":")[2])
        return next((_OTHER_STATISTICS[name] for name in names if name in _OTHER_STATISTICS), IMAGENET_STATISTICS)

    @property
    def keeps_its_outputs(self) -> bool:
        """Whether the network brings its own outputs, so that it is not told a dataset's number of classes."""
        ready = self.is_from_torchvision and any(self.args.get(name) for name in ("weights", "pretrained"))
        return self.training is None and (self.classes is not None or ready)
