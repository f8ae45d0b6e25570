"""What can be set in the Launchpad for one run: typed, described, bounded, each with its default.

Device and workers change how a run computes and nothing of what it makes. What makes a result belongs to the config
files; the few settings of responses that may be tried out here are recorded with them, and `dynvision status` says so.
"""

from enum import Enum
from typing import Any

import dagster as dg
from pydantic import Field

from dynvision.stages.run_settings import MAX_WORKERS
from dynvision.system.machine import DEVICES

__all__ = ["BuildConfig", "Device", "ModelsConfig", "RawConfig", "Resolution", "ResponsesConfig"]


Device = Enum("Device", {name.upper().replace(":", "_"): name for name in DEVICES})  # type: ignore[misc]
"""Where a network computes: `AUTO`, `CPU`, `CUDA`, `CUDA_1`, …"""


class Resolution(Enum):
    """How finely responses are recorded."""

    AS_CONFIGURED = "as_configured"
    LAYER = "layer"
    CHANNEL = "channel"
    UNIT = "unit"


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

    workers: int = Field(
        default=0,
        ge=0,
        le=MAX_WORKERS,
        description=f"Threads that write images, 1 to {MAX_WORKERS}; 0 is one for each core. The images are the same "
        "with any number.",
    )


class ModelsConfig(BuildConfig):
    """What can be set for training. Epochs, batch size and learning rate are in config_models.yaml."""

    device: Device = Field(
        default=Device("auto"),
        description="Where the network is trained: AUTO (the first CUDA GPU, or the CPU if there is none), CPU, "
        "CUDA, CUDA_1, … or MPS.",
    )


class ResponsesConfig(BuildConfig):
    """What can be set for recording responses."""

    device: Device = Field(
        default=Device("auto"),
        description="Where the network computes: AUTO (the first CUDA GPU, or the CPU if there is none), CPU, "
        "CUDA, CUDA_1, … or MPS.",
    )
    workers: int = Field(
        default=0,
        ge=0,
        le=MAX_WORKERS,
        description=f"Workers of the image loader, 1 to {MAX_WORKERS}; 0 is run.workers of config_models.yaml. The "
        "responses are the same with any number.",
    )
    batch_size: int = Field(
        default=0,
        ge=0,
        le=4096,
        description="Images shown together, 1 to 4096; smaller needs less memory. 0 is record.batch_size of "
        "config_models.yaml; with another one the responses count as stale, as their last digits may differ.",
    )
    layers: list[str] = Field(
        default=[],
        description='Layers to record in this run, by name or pattern: ["V1", "IT"], ["V*"]. [] is record.layers of '
        "config_models.yaml. What is recorded otherwise than the files say counts as stale.",
    )
    resolution: Resolution = Field(
        default=Resolution.AS_CONFIGURED,
        description="LAYER (mean and standard deviation over all units), CHANNEL (over space) or UNIT (everything) in "
        "this run; AS_CONFIGURED is record.resolution of config_models.yaml. What is recorded otherwise than the files "
        "say counts as stale.",
    )
