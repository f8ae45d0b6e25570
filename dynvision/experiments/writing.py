"""Writing a sweep: a block that conditions share is checked and digested once, and written to the store of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.errors import DataError, DynvisionError
from dynvision.experiments.stepping import AVERAGE
from dynvision.experiments.stores.journal import BatchEntry
from dynvision.experiments.stores.layout import REFERENCES, SCORES, ArraySpec
from dynvision.experiments.stores.store import digest_block
from dynvision.experiments.stores.writer import StoreWriter

__all__ = ["OUTPUT_ARRAYS", "RANK", "SweepWriter", "describe_output", "is_finite", "rank_outputs"]

RANK = "rank"
"""The array that only a network whose classes match the labels has."""

OUTPUT_ARRAYS: dict[str, ArraySpec] = {
    "predicted": ArraySpec((), (), "int32", "class of the highest score; -2 where a score is not finite"),
    "confidence": ArraySpec((), (), "float32", "softmax probability of the highest score, among all outputs", False),
    RANK: ArraySpec(
        (),
        (),
        "int32",
        "outputs ranked before that of the class of the trial's first image (0 is best); -1 where that class has no "
        "output, -2 where a score is not finite",
    ),
}
"""What is stored of the network's output besides its scores; see `describe_output`."""

UNKNOWN = -2
"""The value of `predicted` and `rank` if a score is not finite."""

IN_FLIGHT_BYTES = 192 << 20
"""How many bytes may wait to be compressed and written."""

Arrays = Mapping[str, npt.NDArray[Any]]


class SweepWriter:
    """Takes the blocks of a sweep, batch after batch, and writes each to the stores of its conditions.

    Args:
        writers: One for each condition.
        names: The conditions, for messages.
        output_classes: The class of each output, in the dataset's own order.
        allow_nonfinite: Record responses that are not finite instead of raising.
        references: For each condition the positions of the runs that it is compared with, by name.
    """

    def __init__(
        self,
        writers: Sequence[StoreWriter],
        names: Sequence[str],
        output_classes: Sequence[int],
        allow_nonfinite: bool,
        references: Sequence[Mapping[str, int]] = (),
    ) -> None:
        self.references = list(references) or [{}] * len(writers)
        self._shown: Sequence[int] = range(len(writers))
        self.writers, self.names, self.allow_nonfinite = list(writers), list(names), allow_nonfinite
        self.output_classes: npt.NDArray[np.int64] = np.asarray(output_classes, dtype=np.int64)
        self._blocks: dict[int, dict[int, _Block]] = {}
        self._image_contrasts: dict[int, list[Any]] = {}
        self._ended: deque[tuple[int, dict[int, BatchEntry]]] = deque()
        self._waiting: deque[tuple[int, int, Any]] = deque()
        self._in_flight = 0
        self._batch, self._ids = 0, np.zeros(0, np.int64)
        self._labels: npt.NDArray[np.int64] | None = None

    def begin_batch(
        self,
        batch: int,
        ids: npt.NDArray[np.int64],
        labels: npt.NDArray[np.int64] | None,
        shown: Sequence[int] | None = None,
        image_contrasts: Mapping[int, npt.NDArray[np.float64]] | None = None,
    ) -> None:
        """Start a batch.

        Args:
            batch: Its number.
            ids: Which sample each trial is, shape `[B]`, for messages.
            labels: The class of each trial, shape `[B]`, in the order of `output_classes`; `None` if labels have
                nothing to do with these.
            shown: The conditions that are written; by default all.
            image_contrasts: For each condition the RMS contrast of the images, shape `[B]`, or `[B, K]` for several a
                trial.
        """
        self._batch, self._ids, self._labels, self._blocks = batch, ids, labels, {}
        self._shown = range(len(self.writers)) if shown is None else shown
        self._image_contrasts = {c: values.tolist() for c, values in (image_contrasts or {}).items()}

    def take(self, conditions: tuple[int, ...], start: int, arrays: Arrays) -> None:
        """Take a block; see `SweepRunner.stream`. Numbers after those of the conditions are references.

        Raises:
            DataError: If a response is not finite; names layer, step, sample and condition.
            DynvisionError: If responses could not be written.
        """
        averages = {n.removeprefix(AVERAGE): value for n, value in arrays.items() if n.startswith(AVERAGE)}
        own = [number for number in conditions if number < len(self.writers)]
        if own:
            stored = {name: value for name, value in arrays.items() if not name.startswith(AVERAGE)}
            self._check_finite(own, start, stored)
            stored |= describe_output(arrays[SCORES], self._labels, self.output_classes)
            self._write(own, start, stored, averages)
        for number in conditions:
            for run, compared in self._compared_with(number - len(self.writers)).items():
                of_run = {f"{run}/{layer}": value for layer, value in averages.items()}
                self._check_finite(compared, start, of_run)
                self._write(compared, start, of_run, of_run)

    def _compared_with(self, reference: int) -> dict[str, list[int]]:
        """Return the conditions that are compared with a run, by the name under which they keep it."""
        compared: dict[str, list[int]] = {}
        for condition in self._shown:
            for run, position in self.references[condition].items():
                if position == reference:
                    compared.setdefault(run, []).append(condition)
        return compared

    def _write(self, conditions: Sequence[int], start: int, stored: Arrays, averages: Arrays) -> None:
        """Write arrays to the stores of conditions, and keep their digests and sums for the journals."""
        digests = {name: digest_block(value) for name, value in stored.items()}
        sums = {name: value.sum(axis=0, dtype=np.float64) for name, value in averages.items()}
        n_bytes = sum(value.nbytes for value in stored.values())
        for condition in conditions:
            self._make_room(n_bytes)
            writes = self.writers[condition].write(self._batch, start, stored)
            sizes = [n_bytes, *[0] * (len(writes) - 1)]
            self._waiting += [(self._batch, size, write) for size, write in zip(reversed(sizes), writes, strict=True)]
            self._in_flight += n_bytes
            block = self._blocks.setdefault(condition, {}).setdefault(start, _Block({}, {}))
            block.digests.update(digests)
            block.averages.update(sums)

    def end_batch(self, steps: int) -> None:
        """End a batch, and record in the journals the one before it, which has had time to be written.

        Args:
            steps: How many steps of the network were computed for it.

        Raises:
            DynvisionError: If responses could not be written.
        """
        contrasts = self._image_contrasts
        entries = {c: _join(blocks, steps, contrasts.get(c, [])) for c, blocks in self._blocks.items()}
        self._ended.append((self._batch, entries))
        while len(self._ended) > 1:
            self._note_oldest()

    def flush(self) -> None:
        """Wait for everything that is still being written, and record it in the journals."""
        while self._ended:
            self._note_oldest()

    def _note_oldest(self) -> None:
        batch, entries = self._ended.popleft()
        while self._waiting and self._waiting[0][0] <= batch:
            self._finish_oldest()
        for condition, entry in entries.items():
            self.writers[condition].note_batch(entry)

    def _make_room(self, n_bytes: int) -> None:
        while self._waiting and self._in_flight + n_bytes > IN_FLIGHT_BYTES:
            self._finish_oldest()

    def _finish_oldest(self) -> None:
        _, n_bytes, write = self._waiting.popleft()
        try:
            write.result()
        except (ValueError, OSError, RuntimeError) as error:
            raise DynvisionError(
                f"responses could not be written ({error}). Is the disk full? What is written is kept: make room and "
                "run this again, and it resumes from there."
            ) from error
        self._in_flight -= n_bytes

    def _check_finite(self, conditions: Sequence[int], start: int, arrays: Arrays) -> None:
        if self.allow_nonfinite:
            return
        for name, values in arrays.items():
            if not is_finite(values):
                sample, step, *_ = np.argwhere(~np.isfinite(values))[0]
                group, _, variable = name.rpartition("/")
                layer = f"{variable} ({group})" if group in REFERENCES else group or "the output"
                raise DataError(
                    f"the response of '{layer}' is not finite at sample {self._ids[sample]}, recorded step "
                    f"{start + step}, in {', '.join(self.names[c] for c in conditions[:3])}. Check the network's "
                    "weights and stability; float16 overflows above 65504. To record it as it is, set "
                    "'allow_nonfinite: true' under 'record'."
                )


@dataclass(frozen=True)
class _Block:
    """What the journal keeps of a block: the digest of each array, and each layer's mean summed over trials."""

    digests: dict[str, str]
    averages: dict[str, npt.NDArray[np.float64]]


def describe_output(
    scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int64] | None, output_classes: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[Any]]:
    """Read prediction, confidence and rank from the scores at each step, among all outputs.

    Args:
        scores: Shape `[B, T, outputs]`; they are taken as logits.
        labels: The class of each trial, shape `[B]`; `None` leaves out `rank`.
        output_classes: The class of each output, shape `[outputs]`.

    Returns:
        Each of shape `[B, T]`: `predicted`, the class of the highest score; `confidence`, its softmax probability;
        `rank`, how many outputs are ranked before that of the trial's class (0 is best; of equal scores the first
        output is the better one), −1 if the class has no output. If a score is not finite, `predicted` and `rank` are
        −2 and `confidence` is NaN.
    """
    best, known = scores.argmax(axis=2), np.isfinite(scores).all(axis=2)
    with np.errstate(invalid="ignore", over="ignore"):
        confidence = 1 / np.exp(scores - scores.max(axis=2, keepdims=True)).sum(axis=2)
    described: dict[str, npt.NDArray[Any]] = {
        "predicted": np.where(known, output_classes[best], UNKNOWN).astype(np.int32),
        "confidence": np.where(known, confidence, np.nan).astype(np.float32),
    }
    if labels is not None:
        described[RANK] = np.where(known, rank_outputs(scores, labels, output_classes), UNKNOWN).astype(np.int32)
    return described


def rank_outputs(
    scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], output_classes: npt.NDArray[np.int64]
) -> npt.NDArray[np.int32]:
    """Count the outputs that are ranked before that of the trial's class; see `describe_output`.

    Args:
        scores: Shape `[B, T, outputs]`.
        labels: The class of each trial, shape `[B]`.
        output_classes: The class of each output, shape `[outputs]`.

    Returns:
        Shape `[B, T]`; −1 for trials whose class has no output.
    """
    matches = output_classes[None, :] == labels[:, None]
    own = matches.argmax(axis=1)
    score = np.take_along_axis(scores, own[:, None, None], axis=2)
    before = np.arange(scores.shape[2])[None, None, :] < own[:, None, None]
    rank = ((scores > score) | ((scores == score) & before)).sum(axis=2).astype(np.int32)
    return np.where(matches.any(axis=1)[:, None], rank, np.int32(-1))


def is_finite(values: npt.NDArray[Any]) -> bool:
    """Tell whether all values of an array of any shape are finite."""
    if values.dtype == np.float16:
        # Half-precision arithmetic is slow. The exponent of a value that is not finite is all ones.
        bits = np.ascontiguousarray(values).view(np.uint16)
        return not bool(((bits & 0x7C00) == 0x7C00).any())
    return bool(np.isfinite(values).all())


def _join(blocks: Mapping[int, _Block], steps: int, image_contrasts: list[Any]) -> BatchEntry:
    ordered = [blocks[start] for start in sorted(blocks)]
    return BatchEntry(
        {name: [block.digests[name] for block in ordered] for name in ordered[0].digests},
        {layer: np.concatenate([b.averages[layer] for b in ordered]).tolist() for layer in ordered[0].averages},
        steps,
        image_contrasts,
    )
