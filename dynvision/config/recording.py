"""Schema of `record` and `run`: what is recorded of responses, and how they are computed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from dynvision.config.data import Section
from dynvision.system.machine import check_device

__all__ = ["RecordConfig", "RunConfig"]

DeviceName = Annotated[str, AfterValidator(check_device)]
"""The name of a device that some machine may have."""


class RecordConfig(Section):
    """What is recorded of the responses."""

    layers: list[str] = Field(default_factory=lambda: ["*"], min_length=1)
    resolution: Literal["unit", "channel", "layer"] = "channel"
    units: int | None = Field(None, ge=1, description="with resolution unit: how many units of a layer, at random")
    unit_seed: int = Field(0, ge=0, description="seeds the choice of units")
    samples: int | None = Field(None, ge=1, description="how many images, spread over the classes")
    dtype: Literal["float16", "float32"] = "float32"
    batch_size: int | None = Field(None, ge=1, description="by default 100, or fewer to fit into memory_budget")
    allow_nonfinite: bool = Field(False, description="record responses that are not finite instead of stopping")

    @model_validator(mode="after")
    def _units_are_units(self) -> RecordConfig:
        if self.units is not None and self.resolution != "unit":
            raise ValueError(f"units: {self.units} are chosen of 'resolution: unit', not of '{self.resolution}'")
        return self


class RunConfig(Section):
    """How an experiment is computed.

    `dtype` and `mixed_precision` belong to the result. Device and threads change numbers in their last digits at
    most, and are noted in the store; the others change none.
    """

    device: DeviceName = Field("auto", description="auto: the first CUDA GPU, or the CPU if there is none")
    dtype: Literal["float32", "float16", "bfloat16"] = Field("float32", description="of the frames that are shown")
    mixed_precision: bool = Field(False, description="let the network compute in half precision where it can")
    store_responses_on_cpu: bool = Field(True, description="fetch responses from the GPU at every step")
    memory_budget: float = Field(2.0, ge=1.2, description="peak memory of the run in GB, libraries included")
    workers: int | None = Field(None, ge=1, description="of the image loader; raw .beton files need none")
    threads: int | None = Field(None, ge=1, description="of torch; by default its own choice")

    @model_validator(mode="after")
    def _precision_fits(self) -> RunConfig:
        if self.dtype != "float32" and not self.mixed_precision:
            raise ValueError(
                f"frames of dtype {self.dtype} do not fit weights of float32: add 'mixed_precision: true', or leave "
                "dtype at float32"
            )
        return self
