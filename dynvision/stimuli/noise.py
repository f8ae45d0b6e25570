"""Noise that belongs to a sample and a time step, never to a global generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from dynvision.errors import check_number, unknown_name

__all__ = [
    "NOISELEVEL",
    "NOISE_ALIASES",
    "NOISE_KINDS",
    "NOISE_TEMPORAL",
    "Noise",
    "add_noise",
    "canonical_kind",
    "sensor_noise",
]

NoiseKind = Literal["gaussian", "uniform", "salt_and_pepper", "poisson", "phase_scrambled"]
NoiseTemporal = Literal["static", "dynamic", "correlated"]

NOISE_KINDS: tuple[str, ...] = get_args(NoiseKind)
NOISE_TEMPORAL: tuple[str, ...] = get_args(NoiseTemporal)

NOISE_ALIASES = {"saltpepper": "salt_and_pepper", "phasescrambled": "phase_scrambled"}
"""Other names of kinds of noise: those of DynVision 0.1.0."""

NOISELEVEL = (
    "Write ssnr, the image's share of the variance from 0 (noise alone) to 1 (the image alone). In DynVision 0.1.0 the "
    "image kept its contrast and noise was added to it; the page 'What differs from DynVision 0.1.0' converts."
)
"""What to write instead of `noiselevel`, a name that DynVision 0.1.0 uses in another sense."""

_Images = npt.NDArray[np.float32]
_MEMORY_LEFT = 0.01
"""The weight of the oldest step that temporally correlated noise still includes, relative to the newest."""

_MANY_PHOTONS = 1e4
"""Counts a pixel from which photon noise is drawn without a search."""


@dataclass(frozen=True)
class Noise:
    """Noise in a stimulus.

    Gaussian, uniform and poisson noise keep the total variance, and `ssnr` is the signal's share of it. For salt and
    pepper, `ssnr` is the share of pixels that are kept; for phase scrambling, the weight of the image's own phases.

    Attributes:
        kind: `gaussian`, `uniform`, `salt_and_pepper`, `poisson` or `phase_scrambled`; see `add_noise`. The names
            `saltpepper` and `phasescrambled` are accepted, too.
        ssnr: In [0, 1]: 0 is pure noise, 1 the image.
        temporal: `static` (the same at every step), `dynamic` (new at every step) or `correlated`.
        persistence: Correlation r from one step to the next if `temporal` is `correlated`, in [0, 0.99]. It is the
            correlation of the Gaussian field that every noise is made of: r for gaussian noise, 6/π · asin(r/2) for
            uniform, a little less than r for poisson, and 2/π · asin(r) for whether a pixel is salt or pepper. A step
            costs about ln 0.01 / ln r fields.
        spatial_scale: Standard deviation, in pixels, of the Gaussian by which the noise field is smoothed
            (periodic at the borders); 0 is independent pixels. A smoothed field has mean 0 and variance 1 over the
            pixels of each channel. Not for `phase_scrambled`.
        seed: The same sample gets the same noise for the same seed.

    Raises:
        ValueError: If a setting is outside its bounds, or the kinds do not exist.
    """

    kind: str
    ssnr: float
    temporal: str = "static"
    persistence: float = 0.8
    spatial_scale: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", canonical_kind(self.kind))
        if self.kind not in NOISE_KINDS:
            raise unknown_name("noise", self.kind, NOISE_KINDS)
        if self.temporal not in NOISE_TEMPORAL:
            raise unknown_name("temporal noise", self.temporal, NOISE_TEMPORAL)
        for name, low, high in (("ssnr", 0, 1), ("persistence", 0, 0.99), ("spatial_scale", 0, 10_000)):
            check_number(name, getattr(self, name), low, high)
        check_number("the seed of noise", self.seed, 0, 2**64 - 1, whole=True)
        if self.kind == "phase_scrambled" and self.spatial_scale > 0:
            raise ValueError("phase-scrambled noise has the image's own spatial spectrum; leave spatial_scale at 0")


def canonical_kind(kind: str) -> str:
    """Return the full name of a kind of noise (`saltpepper` → `salt_and_pepper`)."""
    return NOISE_ALIASES.get(kind, kind) if isinstance(kind, str) else kind


def add_noise(images: _Images, noise: Noise, sample_ids: npt.NDArray[np.int64], step: int) -> _Images:
    """Add noise to images at one step.

    With the signal s, its mean μ and variance σ² over the pixels of each channel, and w = ssnr:

    - gaussian, uniform: ``x = μ + √w (s − μ) + √(1 − w) σ n`` with n of unit variance.
    - salt_and_pepper: each pixel is kept with probability w; otherwise it takes the image's lowest or highest
      value, all channels together.
    - poisson: intensities ``I = s − min s`` are counted as photons, ``y ~ Poisson(N (⟨I⟩ + g (I − ⟨I⟩)))``, and
      ``x = μ + √(1 − w) σ (y − N ⟨I⟩) / √(N ⟨I⟩)``. With ``M = ⟨I⟩² w / (σ² (1 − w))`` photons a pixel the signal has
      the share w of the variance, and g = 1. Fewer than one photon a pixel would leave images of a few bright dots:
      then it is one, and light without an image is mixed in, ``g = √M``.
    - phase_scrambled: the amplitude spectrum is kept, and each phase is the weighted mean of the image's and a
      random one (Dakin, Hess, Ledgeway & Achtman, What causes non-monotonic tuning of fMRI response to noisy
      images?, Current Biology 12, 2002). The random one lies φ_n off the image's, by the same for all channels, so
      that their relation, and with it colour, is kept (Prichard & Theiler, Generating surrogate data for time
      series with several simultaneously measured variables, PRL 73, 1994): ``φ = φ_s + arg(w + (1 − w) e^{iφ_n})``.

    Nothing is clipped: normalized images have no fixed range.

    Args:
        images: Shape `[B, C, H, W]`, float32.
        noise: The noise.
        sample_ids: Which sample each image is, shape `[B]`.
        step: The time step.

    Returns:
        Shape `[B, C, H, W]`, float32.
    """
    if noise.ssnr == 1:
        return images
    field = _draw_field(noise, sample_ids, step, images.shape[1:], stream=1)
    signal = images.astype(np.float64)
    mean = signal.mean(axis=(2, 3), keepdims=True)
    deviation = signal.std(axis=(2, 3), keepdims=True)
    keep, add = np.sqrt(noise.ssnr), np.sqrt(1 - noise.ssnr)
    if noise.kind == "gaussian":
        noisy = mean + keep * (signal - mean) + add * deviation * field
    elif noise.kind == "uniform":
        noisy = mean + keep * (signal - mean) + add * deviation * np.sqrt(12) * (_quantile(field) - 0.5)
    elif noise.kind == "salt_and_pepper":
        side = _draw_field(noise, sample_ids, step, images.shape[1:], stream=2)[:, :1] > 0
        extreme = np.where(side, signal.max(axis=(1, 2, 3), keepdims=True), signal.min(axis=(1, 2, 3), keepdims=True))
        noisy = np.where(_quantile(field[:, :1]) < noise.ssnr, signal, extreme)
    elif noise.kind == "poisson":
        noisy = _count_photons(signal, mean, deviation, field, noise.ssnr)
    elif noise.kind == "phase_scrambled":
        noisy = _scramble_phases(signal, field[:, :1], noise.ssnr)
    else:
        raise NotImplementedError(f"add_noise has no branch for the noise {noise.kind!r}")
    shown: _Images = noisy.astype(np.float32)
    return shown


def sensor_noise(sample_ids: npt.NDArray[np.int64], step: int, shape: tuple[int, ...], seed: int) -> _Images:
    """Draw Gaussian noise of unit variance for each sample at one step.

    A counter-based generator (Philox: Salmon et al., Parallel random numbers: as easy as 1, 2, 3,
    SC 2011) is keyed by (seed, sample, step), so that a sample's noise does not depend on batch
    size, order, workers or the other conditions shown.

    Args:
        sample_ids: Which sample each row is, shape `[B]`.
        step: The time step, counted from the first step of the presentation.
        shape: The shape of one frame, `(C, H, W)`.
        seed: The seed of the noise.

    Returns:
        Shape `[B, C, H, W]`, float32.
    """
    noise = np.empty((len(sample_ids), *shape), dtype=np.float32)
    for row, sample in zip(noise, sample_ids, strict=True):
        key: Any = [seed, (int(sample) << 32) + step]
        generator = np.random.Generator(np.random.Philox(key=np.array(key, dtype=np.uint64)))
        generator.standard_normal(dtype=np.float32, out=row)
    return noise


def _draw_field(
    noise: Noise, sample_ids: npt.NDArray[np.int64], step: int, shape: tuple[int, ...], stream: int
) -> npt.NDArray[np.float64]:
    """Draw a Gaussian field of unit variance for each sample; every kind of noise is made of such fields.

    Correlated noise is a first-order autoregression, written as a moving average over past steps whose weights fall by
    the factor `persistence` each, so that any step can be drawn by itself.
    """
    # Each field has its own seed, so that it is independent of sensor noise.
    seed = (noise.seed + stream * 0x9E3779B97F4A7C15) % 2**64
    if noise.temporal == "correlated" and noise.persistence > 0:
        past = int(np.ceil(np.log(_MEMORY_LEFT) / np.log(noise.persistence))) + 1
        weights = noise.persistence ** np.arange(past)
        weights /= np.sqrt((weights**2).sum())
        draws = (sensor_noise(sample_ids, step + past - k, shape, seed) for k in range(past))
        field = sum((w * draw for w, draw in zip(weights, draws, strict=True)), start=np.zeros(1))
    else:
        field = sensor_noise(sample_ids, 0 if noise.temporal == "static" else step, shape, seed)
    smooth: npt.NDArray[np.float64] = field.astype(np.float64)
    if noise.spatial_scale > 0 and shape[1] * shape[2] > 1:
        gain = _smoothing_gain(noise.spatial_scale, shape[1], shape[2])
        smooth = np.fft.ifft2(np.fft.fft2(smooth) * gain).real
        smooth /= smooth.std(axis=(2, 3), keepdims=True)
    return smooth


def _smoothing_gain(scale: float, height: int, width: int) -> npt.NDArray[np.float64]:
    """Return the gain of a Gaussian filter at each spatial frequency, relative to that at the lowest: `[H, W]`.

    It is 0 at frequency 0: however wide the filter is, the noise varies over the image instead of shifting its mean.
    """
    vertical, horizontal = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    squared = vertical**2 + horizontal**2
    lowest = squared.flat[1:].min()
    gain: npt.NDArray[np.float64] = np.exp(-2 * (np.pi * scale) ** 2 * np.maximum(squared - lowest, 0))
    gain[0, 0] = 0
    return gain


def _quantile(field: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn a Gaussian field into a uniform one, with the standard normal distribution function."""
    from scipy.special import ndtr

    uniform: npt.NDArray[np.float64] = ndtr(field)
    return uniform


def _count_photons(
    signal: npt.NDArray[np.float64],
    mean: npt.NDArray[np.float64],
    deviation: npt.NDArray[np.float64],
    field: npt.NDArray[np.float64],
    ssnr: float,
) -> npt.NDArray[np.float64]:
    flat = deviation == 0
    light = mean - signal.min(axis=(2, 3), keepdims=True)
    # How much brighter or darker than the mean a pixel is, in units of the mean.
    modulation = (signal - mean) / np.where(light > 0, light, 1.0)
    photons = (light / np.where(flat, 1.0, deviation)) ** 2 * ssnr / (1 - ssnr)
    mixed = np.sqrt(np.minimum(photons, 1.0))
    photons = np.maximum(photons, 1.0)
    rates = np.maximum(photons * (1 + mixed * modulation), 0.0)
    noise = (_draw_counts(field, rates) - photons) / np.sqrt(photons)
    noisy: npt.NDArray[np.float64] = mean + np.sqrt(1 - ssnr) * deviation * noise
    return noisy


def _draw_counts(field: npt.NDArray[np.float64], rates: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn a Gaussian field into counts with the Poisson distribution, whose mean is `rates`, shape `[B, C, H, W]`.

    The exact quantile takes the longer the higher the rate. Above 10,000 counts the first terms of Cornish and Fisher's
    expansion (Moments and cumulants in the specification of distributions, 1938) are off by less than one count.
    """
    from scipy.stats import poisson

    counted = np.floor(rates + np.sqrt(rates) * field + (field**2 - 1) / 6 + 0.5)
    few = rates <= _MANY_PHOTONS
    counted[few] = poisson.ppf(np.clip(_quantile(field[few]), 1e-12, 1 - 1e-12), rates[few])
    return counted


def _scramble_phases(
    signal: npt.NDArray[np.float64], field: npt.NDArray[np.float64], ssnr: float
) -> npt.NDArray[np.float64]:
    spectrum = np.fft.rfft2(signal)
    amplitude = np.abs(spectrum)
    own = np.divide(spectrum, amplitude, out=np.ones_like(spectrum), where=amplitude > 0)
    # The phases of a real noise image have the symmetry that keeps the result real.
    other = np.fft.rfft2(field)
    other /= np.maximum(np.abs(other), 1e-12)
    turn = ssnr + (1 - ssnr) * other
    size = np.abs(turn)
    phase = own * np.divide(turn, size, out=np.ones_like(turn), where=size > 1e-9)
    phase[..., 0, 0] = own[..., 0, 0]
    scrambled: npt.NDArray[np.float64] = np.fft.irfft2(amplitude * phase, s=signal.shape[-2:])
    return scrambled
