"""Schema of `record` and `run`: which responses are recorded, and how they are computed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from dynvision.config.values.limits import BatchSize, Count, PlainText, Seed, Threads
from dynvision.config.values.names import Section
from dynvision.system.machine import check_device

__all__ = ["RecordConfig", "RunConfig"]

DeviceName = Annotated[str, AfterValidator(check_device)]
"""The name of a device that some machine may have."""


class RecordConfig(Section):
    """Which responses are recorded: of which layers, how finely, for how many images."""

    layers: list[PlainText] = Field(default_factory=lambda: ["*"], min_length=1, max_length=10_000, fail_fast=True)
    resolution: Literal["unit", "channel", "layer"] = "channel"
    units: Count | None = Field(
        None, description="with resolution unit: how many units of each layer, chosen at random"
    )
    unit_seed: Seed = Field(0, description="seeds the choice of units")
    samples: Count | None = Field(None, description="how many images, spread over the classes")
    dtype: Literal["float16", "float32"] = "float32"
    batch_size: BatchSize | None = Field(None, description="by default 100, or fewer if memory_budget demands it")
    allow_nonfinite: bool = Field(False, description="record responses that are not finite, instead of stopping")

    @model_validator(mode="after")
    def _units_are_units(self) -> RecordConfig:
        if twice := next((name for name in self.layers if self.layers.count(name) > 1), None):
            raise ValueError(f"layers: '{twice}' is listed twice")
        if self.units is not None and self.resolution != "unit":
            raise ValueError(f"units: {self.units} can be chosen with 'resolution: unit', not with '{self.resolution}'")
        return self


class RunConfig(Section):
    """How an experiment is computed.

    `dtype` and `mixed_precision` change the result. The device and the number of threads change the last digits of
    numbers at most, and are noted in the store. The other settings change no number.
    """

    device: DeviceName = Field("auto", description="auto: the first CUDA GPU, or the CPU if there is none")
    dtype: Literal["float32", "float16", "bfloat16"] = Field("float32", description="of the frames")
    mixed_precision: bool = Field(False, description="let the network compute in half precision if it can")
    store_responses_on_cpu: bool = Field(True, description="fetch responses from the GPU at every step")
    memory_budget: float = Field(
        2.0, ge=1.2, le=100_000, description="peak memory of the run in GB, libraries included"
    )
    workers: int | None = Field(None, ge=1, le=1024, description="of the image loader; raw .beton files need none")
    threads: Threads | None = Field(None, description="of torch; by default its own choice")

    @model_validator(mode="after")
    def _precision_fits(self) -> RunConfig:
        if self.dtype != "float32" and not self.mixed_precision:
            raise ValueError(
                f"frames of dtype {self.dtype} do not fit weights of float32: add 'mixed_precision: true', or leave "
                "dtype at float32"
            )
        return self
