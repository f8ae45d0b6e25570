"""Presentations, and batches of images that are shown by one."""

from dynvision.data.loading.sequence import StimulusSequence
from dynvision.stimuli.presentation import Presentation

__all__ = ["Presentation", "StimulusSequence"]
