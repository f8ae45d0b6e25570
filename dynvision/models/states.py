"""What a network carries from one call to the next: its state, and what it must not keep elsewhere."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dynvision.errors import ConfigError
from dynvision.models.attributes import Key, Values, changed_values, disturb, preserved, read_values, write_values
from dynvision.models.calling import has_step, step_network
from dynvision.models.seeding import generator_states, seed_everything, seeded

__all__ = ["Examination", "copy_state", "examine_network"]

LEAST_CALLS = 16
"""A network is called at least so often."""

MORE_CALLS = 8
"""Calls beyond the length of a trial."""

MOST_SECONDS = 5.0
"""After this time a slow network is called no more, once it was called `LEAST_CALLS` times."""

DISTURBANCES = (3.0, -3.0, 300.0, -300.0, 1e6, -1e6)
"""How far what a network changed is moved, to see whether outputs follow; see `disturb`.

Both ways, because an output may stand at the end of its range, as that of a unit that spikes all the time; and farther
and farther, because what is remembered may be small beside what is shown."""

_CPU = torch.device("cpu")


def copy_state(state: Any) -> Any:
    """Copy the state of a network, so that it may change one of them in place.

    Raises:
        ConfigError: If it cannot be copied.
    """
    if isinstance(state, Tensor):
        return state.clone()
    if isinstance(state, dict) and type(state) is dict:
        return {key: copy_state(value) for key, value in state.items()}
    if type(state) in (list, tuple) or hasattr(state, "_fields"):
        copied = [copy_state(value) for value in state]
        return type(state)(*copied) if hasattr(state, "_fields") else type(state)(copied)
    try:
        return copy.deepcopy(state)
    except Exception as error:
        raise ConfigError(
            f"the state that the network's step(x, state) returns, a {type(state).__name__}, cannot be copied "
            f"({type(error).__name__}: {error}). Return tensors, or tuples, lists or dicts of them."
        ) from error


@dataclass(frozen=True)
class Examination:
    """What was found out about a network in evaluation.

    Attributes:
        hidden: How a state of its own was noticed, as a part of a sentence; `None` if there is none.
        draws_random: Whether it draws random numbers from the global generators.
        mixes_images: Whether an image has another output if other images are shown with it, as where batch
            normalization takes the statistics of the batch.
    """

    hidden: str | None
    draws_random: bool
    mixes_images: bool


@torch.no_grad()
def examine_network(network: nn.Module, frame: Tensor, n_timesteps: int) -> Examination:
    """Find out whether a network keeps a state of its own between calls, and whether it draws random numbers.

    A network without `step` is shown four frames in a mixed order, some of them again and again; each must give the
    same output whatever came before. One with `step` goes through a sequence, then again from a copy of its state in
    the middle and from the start, after other calls. All this is longer than a trial. What the network changed in
    its own buffers and attributes meanwhile is then set to other values: if the output follows, the network reads it.

    Args:
        network: In evaluation mode. It is as before in the end.
        frame: A frame of noise, `[B, C, H, W]`.
        n_timesteps: Steps of a trial.
    """
    with preserved(network), seeded(0):
        examiner = _Examiner(network, frame, n_timesteps)
        hidden = examiner.find_hidden()
        return Examination(hidden, examiner.draws_random, hidden is None and examiner.mixes_images())


class _Examiner:
    """Calls a network again and again; see `examine_network`."""

    def __init__(self, network: nn.Module, frame: Tensor, n_timesteps: int) -> None:
        self.network, self.draws_random = network, False
        self.frames = [frame, 2 * frame.flip(0), torch.zeros_like(frame), 3 * frame.roll(1, -1) + 1]
        calls = max(LEAST_CALLS, n_timesteps + MORE_CALLS)
        mixed = np.random.default_rng(0).integers(0, len(self.frames), calls).tolist()
        self.order = [0, 0, 0, 0, 1, 2, 3, *mixed][:calls]
        self.until = time.monotonic() + MOST_SECONDS

    def find_hidden(self) -> str | None:
        """Return how a state was noticed that the network keeps by itself; `None` if there is none."""
        self._step(0, None, 0)  # caches are filled
        before = read_values(self.network)
        is_same = self._replay() if has_step(self.network) else self._repeat()
        changed = changed_values(before, self.network)
        if not is_same:
            return f"it changes its {_join(changed)}" if changed else "it depends on what was shown before"
        return f"it reads and changes its {_join(changed)}" if changed and self._is_read(changed, before) else None

    def mixes_images(self) -> bool:
        """Whether an image has another output by itself; random draws tell nothing about that."""
        if self.draws_random:
            return False
        together = self._run((0, 3), None, 0)
        self.frames = [frame[:1] for frame in self.frames]
        alone = self._run((0, 3), None, 0)
        # Kernels for one image and for several differ in the last digits.
        return not all(_is_same(one[:1], other, 1e-3) for one, other in zip(together, alone, strict=True))

    def _repeat(self) -> bool:
        """Whether each frame gives the same output whenever it is shown."""
        first: dict[int, Tensor] = {}
        for call, number in enumerate(self.order):
            if self._is_late(call):
                break
            output, _ = self._step(number, None, number)
            if not _is_same(first.setdefault(number, output), output):
                return False
        return True

    def _replay(self) -> bool:
        """Whether a sequence gives the same outputs again, from the start and from the middle."""
        middle, kept, state = LEAST_CALLS // 2, None, None
        outputs: list[Tensor] = []
        for t, number in enumerate(self.order):
            if self._is_late(t):
                break
            if t == middle:
                kept = copy_state(state)
            output, state = self._step(number, state, t)
            outputs.append(output)
        for start, stop, state in ((middle, len(outputs), kept), (0, middle, None)):
            self._run((3, 1, 3), None, 99)
            again = self._run(self.order[start:stop], state, start)
            if not all(map(_is_same, outputs[start:stop], again)):
                return False
        return True

    def _is_read(self, changed: list[Key], before: Values) -> bool:
        """Whether outputs depend on the values of buffers and attributes."""
        now = read_values(self.network)
        usual = self._run((0, 1, 2), None, 0)
        earlier = {key: before[key] for key in changed if key in before}
        others = (
            {key: value for key in changed if (value := disturb(now[key], factor)) is not None}
            for factor in DISTURBANCES
        )
        for values in (earlier, *others):
            try:
                write_values(self.network, values)
                if not all(map(_is_same, usual, self._run((0, 1, 2), None, 0))):
                    return True
            except ConfigError:  # the network failed with these values
                return True
            finally:
                write_values(self.network, {key: now[key] for key in changed})
        return False

    def _run(self, order: Sequence[int], state: Any, start: int) -> list[Tensor]:
        outputs = []
        for t, number in enumerate(order, start):
            output, state = self._step(number, state, t)
            outputs.append(output)
        return outputs

    def _step(self, number: int, state: Any, seed: int) -> tuple[Tensor, Any]:
        # Noise inside the network is no state: it gets the same draws each time.
        seed_everything(seed, _CPU)
        before = generator_states(_CPU)
        output, following = step_network(self.network, self.frames[number].clone(), state)
        self.draws_random |= generator_states(_CPU) != before
        return output.detach().clone(), following

    def _is_late(self, call: int) -> bool:
        return call >= LEAST_CALLS and time.monotonic() > self.until


def _is_same(one: Tensor, other: Tensor, tolerance: float = 1e-6) -> bool:
    if one.shape != other.shape:
        return False
    scale = float(one[one.isfinite()].abs().max()) if one.isfinite().any() else 0.0
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _join(keys: list[Key]) -> str:
    return ", ".join(".".join(filter(None, key)) for key in keys[:3]) + (" …" if len(keys) > 3 else "")
