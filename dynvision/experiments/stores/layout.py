"""The shape of a response store: its arrays, and the sizes of their chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["IMAGE_CONTRAST", "REFERENCES", "REST", "SCORES", "SINGLE", "ArraySpec", "StoreLayout"]

SCORES = "scores"
"""The name of the network's output among the arrays of a store; it is always float32."""

IMAGE_CONTRAST = "image_contrast"
"""The coordinate that is known only once the images were read: the RMS contrast of each trial's images."""

REST = "rest"
"""The trial with nothing shown: resting activity, with the noise of the condition."""

SINGLE = "single"
"""The trial with its first showing alone, if the condition shows several."""

REFERENCES: Mapping[str, str] = {
    REST: "mean over units of the same trial with nothing shown",
    SINGLE: "mean over units of the same trial with the first showing alone",
}
"""What the groups of these names in a store hold."""


@dataclass(frozen=True)
class ArraySpec:
    """One array of a store.

    Attributes:
        trailing: Its shape after sample and time.
        dims: The names of those dimensions.
        dtype: The type of its values.
        about: What they are; the array's `long_name`.
        is_packed: Whether they are compressed. Means, deviations and scores are not: zstd makes such numbers only a
            tenth smaller, and takes more time than writing them.
    """

    trailing: tuple[int, ...]
    dims: tuple[str, ...]
    dtype: str = "float32"
    about: str = ""
    is_packed: bool = True


@dataclass(frozen=True)
class StoreLayout:
    """The shape of a store; it is the same for all conditions of an experiment.

    Attributes:
        arrays: By `layer/variable`, by `run/layer` for the runs that conditions are compared with, or by name for those
            of the root.
        n_samples: Samples in all.
        n_timesteps: Recorded steps.
        batch_size: Samples of a chunk.
        block_steps: Steps of a chunk.
    """

    arrays: Mapping[str, ArraySpec]
    n_samples: int
    n_timesteps: int
    batch_size: int
    block_steps: int

    def compared_with(self, runs: Sequence[str]) -> StoreLayout:
        """Return the layout with an array `<run>/<layer>` for each layer of some runs of `REFERENCES`."""
        kept = {name: spec for name, spec in self.arrays.items() if name.partition("/")[0] not in REFERENCES}
        means = {run: ArraySpec((), (), about=REFERENCES[run], is_packed=False) for run in runs}
        compared = {f"{run}/{layer}": means[run] for run in runs for layer in self.layers}
        return dataclasses.replace(self, arrays={**kept, **compared})

    @property
    def n_batches(self) -> int:
        """How many batches there are."""
        return -(-self.n_samples // self.batch_size)

    @property
    def layers(self) -> list[str]:
        """The recorded layers."""
        return [group for group in self._groups if group not in REFERENCES]

    @property
    def references(self) -> list[str]:
        """The runs that conditions are compared with."""
        return [group for group in self._groups if group in REFERENCES]

    @property
    def _groups(self) -> list[str]:
        return list(dict.fromkeys(name.rpartition("/")[0] for name in self.arrays if "/" in name))

    @property
    def bytes_per_step(self) -> int:
        """Bytes of one sample at one step, before compression."""
        return sum(
            int(np.prod(spec.trailing, dtype=np.int64)) * np.dtype(spec.dtype).itemsize for spec in self.arrays.values()
        )

    @property
    def least_bytes_per_step(self) -> int:
        """About the least bytes of one sample at one step: rectified responses are packed to a quarter."""
        return sum(
            int(np.prod(spec.trailing, dtype=np.int64)) * np.dtype(spec.dtype).itemsize // (4 if spec.is_packed else 1)
            for spec in self.arrays.values()
        )
