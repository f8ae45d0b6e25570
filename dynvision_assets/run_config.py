"""What can be set in the Launchpad for one run: typed, described, bounded.

Device and workers change how a run computes and nothing of what it makes. What makes a result belongs to the config
files; the few settings of responses that may be tried out here are recorded with them, and `dynvision status` says so.
"""

from enum import Enum
from typing import Any

import dagster as dg
from pydantic import Field

from dynvision.run_settings import MAX_WORKERS

__all__ = ["BuildConfig", "Device", "ModelsConfig", "RawConfig", "Resolution", "ResponsesConfig"]


class Device(Enum):
    """Where a network computes."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class Resolution(Enum):
    """How finely responses are recorded."""

    UNIT = "unit"
    CHANNEL = "channel"


class BuildConfig(dg.Config):
    """What can be set for every asset."""

    force: bool = Field(default=False, description="Build again what is up to date.")

    def run_settings(self) -> dict[str, Any]:
        """What was set beside `force`, as JSON-ready values; what is left alone is not in it."""
        chosen = {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if name != "force" and getattr(self, name) != field.default
        }
        return {name: value.value if isinstance(value, Enum) else value for name, value in chosen.items()}


class RawConfig(BuildConfig):
    """What can be set for raw images."""

    workers: int | None = Field(
        default=None,
        ge=1,
        le=MAX_WORKERS,
        description=f"Threads that write images, 1 to {MAX_WORKERS}; by default one for each core. The images are the "
        "same with any number.",
    )


class ModelsConfig(BuildConfig):
    """What can be set for training. Epochs, batch size and learning rate are in config_models.yaml."""

    device: Device = Field(
        default=Device.AUTO,
        description="Where the network is trained: auto (a GPU where there is one), cpu, cuda or mps",
    )


class ResponsesConfig(BuildConfig):
    """What can be set for recording responses."""

    device: Device = Field(
        default=Device.AUTO, description="Where the network computes: auto (a GPU where there is one), cpu, cuda, mps."
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Images shown together, 1 to 4096; smaller needs less memory. By default as record.batch_size in "
        "config_models.yaml.",
    )
    layers: list[str] | None = Field(
        default=None,
        min_length=1,
        description='Layers to record, by name or pattern (["V1", "V*"]), for this run; by default as record.layers in '
        "config_models.yaml. What is recorded otherwise than the files say counts as stale.",
    )
    resolution: Resolution | None = Field(
        default=None,
        description="channel (mean and standard deviation over space) or unit (everything), for this run; by default "
        "as record.resolution in config_models.yaml. What is recorded otherwise than the files say counts as stale.",
    )
