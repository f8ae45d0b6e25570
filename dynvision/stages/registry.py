"""The stages, in the order in which they build on each other. A new stage is a class and a line here."""

from __future__ import annotations

from dynvision.config import Config
from dynvision.paths import Paths
from dynvision.roots import COMPUTE_FILE
from dynvision.stages.base import Stage, Stages
from dynvision.stages.interim import InterimStage
from dynvision.stages.models import ModelsStage
from dynvision.stages.processed import ProcessedStage
from dynvision.stages.raw import RawStage
from dynvision.stages.responses import ResponsesStage
from dynvision.stages.summary import SummaryStage

__all__ = ["STAGES", "STAGE_NAMES", "open_stages"]

STAGES: tuple[type[Stage], ...] = (
    RawStage,
    InterimStage,
    ProcessedStage,
    ModelsStage,
    ResponsesStage,
    SummaryStage,
)

STAGE_NAMES = tuple(stage.name for stage in STAGES)


def open_stages(config: Config, paths: Paths) -> Stages:
    """Open all stages over a configuration and a root.

    Raises:
        UnknownNameError: If the configuration gives resources to a stage that does not exist.
    """
    config.compute.check_stages(STAGE_NAMES, config.folder / COMPUTE_FILE)
    return Stages(STAGES, config, paths)
