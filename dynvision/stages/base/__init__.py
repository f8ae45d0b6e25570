"""What every stage answers: what it builds, from what, whether it is up to date, and how it is read, checked and drawn.

Nobody outside this room asks which stage a target belongs to: they ask the stage.
"""

from dynvision.stages.base.outputs import UNCHECKED
from dynvision.stages.base.stage import ReadBack, Stage, Stages

__all__ = ["UNCHECKED", "ReadBack", "Stage", "Stages"]
