"""What can be set in the Launchpad for one run. Each setting has a type, a description, bounds and a default.

Workers change how a run computes, but not its result. The kind of device changes the last digits, and is noted with the
result. Settings that change more belong in the config files. A few settings of responses can be tried out here
nevertheless: they are recorded with the responses, which then count as stale, and `dynvision status` says why.
"""

from enum import Enum
from typing import Any

import dagster as dg
from pydantic import Field

from dynvision.stages.base.run_settings import MAX_WORKERS
from dynvision.system.machine import DEVICES

__all__ = ["BuildConfig", "Device", "MakeConfig", "ModelsConfig", "RawConfig", "Resolution", "ResponsesConfig"]


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

    force: bool = Field(default=False, description="Build again even if it is up to date.")
    wait: bool = Field(
        default=True,
        description="Wait while another run or command builds the same; the log says which. Otherwise the run fails.",
    )

    def run_settings(self) -> dict[str, Any]:
        """Return the settings other than `force` and `wait` that are not at their defaults, as JSON-ready values."""
        chosen = {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if name not in ("force", "wait") and getattr(self, name) != field.default
        }
        return {name: value.value if isinstance(value, Enum) else value for name, value in chosen.items()}


class MakeConfig(dg.Config):
    """What can be set for the job `make`."""

    targets: list[str] = Field(
        description="What to build: asset keys (raw/gratings: all of its partitions), keys with a partition "
        "(responses/contrast/rcnn_gratings:0.4), or paths under data/. What they are made from is built if it is "
        "missing or stale."
    )
    force: bool = Field(default=False, description="Build the named targets again even if they are up to date.")
    wait: bool = Field(
        default=True,
        description="Wait while another run or command builds a target; the log says which. Otherwise the run fails.",
    )


class RawConfig(BuildConfig):
    """What can be set for raw images."""

    workers: int | None = Field(
        default=None,
        ge=1,
        le=MAX_WORKERS,
        description=f"Threads that write images, 1 to {MAX_WORKERS}; null means one for each core. The images are the "
        "same with any number.",
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
    workers: int | None = Field(
        default=None,
        ge=1,
        le=MAX_WORKERS,
        description=f"Workers of the image loader, 1 to {MAX_WORKERS}; null means run.workers of config_models.yaml. "
        "The responses are the same with any number.",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Images shown together, 1 to 4096; fewer need less memory. null means record.batch_size of "
        "config_models.yaml. With any other number the responses count as stale, because their last digits may differ.",
    )
    layers: list[str] = Field(
        default=[],
        description='Layers to record in this run, by name or pattern: ["V1", "IT"], ["V*"]. [] means record.layers of '
        "config_models.yaml. Responses that are recorded differently from the config files count as stale.",
    )
    resolution: Resolution = Field(
        default=Resolution.AS_CONFIGURED,
        description="LAYER (mean and standard deviation over all units), CHANNEL (over space) or UNIT (everything) in "
        "this run; AS_CONFIGURED means record.resolution of config_models.yaml. Responses that are recorded "
        "differently from the config files count as stale.",
    )
