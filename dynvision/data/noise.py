"""Noise in stimuli; see `dynvision.stimuli.noise`."""

from dynvision.stimuli.noise import NOISE_KINDS, NOISE_TEMPORAL, Noise, add_noise, sensor_noise

__all__ = ["NOISE_KINDS", "NOISE_TEMPORAL", "Noise", "add_noise", "sensor_noise"]
