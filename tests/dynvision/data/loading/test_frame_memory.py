"""Dense batches belong to the caller, although their memory is reused when nothing refers to it any more."""

from __future__ import annotations

import copy
import gc
import itertools
import multiprocessing
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from dynvision.data.dataloader import StandardDataLoader, get_data_loader
from dynvision.data.loading import frame_memory
from dynvision.data.loading.frame_memory import FrameMemory
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.stimuli.presentation import Presentation

pytestmark = pytest.mark.slow

IMAGES = torch.randn(56, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SIZE = 16
SHOWS = {
    "void at both ends": Presentation.duration(40, 3, 25),
    "several void stretches": Presentation.interval(60, 3, 15, 20, stimulus_contrast=0.5),
    "void of another value": Presentation.duration(40, 3, 25, void_value=0.5),
    "no void": Presentation.constant(25),
    "only void": Presentation.from_program([{"void": 30}]),
    "sensor noise": Presentation.duration(23, 1, 1, sensor_noise=0.5),
    "noise in the image": Presentation.noise(40, 3, 2, temporal="dynamic"),
}


def open_loader(show: Presentation | None = None, **settings: Any) -> StandardDataLoader:
    """Batches of 16, 16, 16 and 8 trials; with the default presentation each is above 4 MiB."""
    dataset = TensorDataset(IMAGES, torch.arange(len(IMAGES)))
    show = show or SHOWS["several void stretches"]
    return get_data_loader(dataset, batch_size=SIZE, presentation=show, **settings)


def expected(show: Presentation | None = None) -> list[torch.Tensor]:
    """The batches of an epoch, built step by step in memory of their own."""
    show = show or SHOWS["several void stretches"]
    ids = np.arange(len(IMAGES)).reshape(-1, 8)
    rows = [np.concatenate(ids[i : i + 2]) for i in range(0, len(ids), 2)]
    return [torch.stack(list(StimulusSequence(IMAGES[r], show, r).steps()), dim=1) for r in rows]


def byte_range(batch: torch.Tensor) -> tuple[int, int]:
    return batch.data_ptr(), batch.data_ptr() + batch.numel() * batch.itemsize


def assert_apart(batches: list[torch.Tensor]) -> None:
    ranges = sorted(byte_range(batch) for batch in batches)
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(ranges))


def test_batches_of_these_tests_are_big_enough():
    assert all(x.nbytes > frame_memory._LEAST_BYTES for x, _ in open_loader())
    assert all(next(iter(open_loader(show)))[0].nbytes > frame_memory._LEAST_BYTES for show in SHOWS.values())


@pytest.mark.slow
@pytest.mark.parametrize("show", SHOWS.values(), ids=SHOWS.keys())
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=["", "channels last"])
def test_batches_that_are_held_for_two_epochs_stay_as_they_are_and_apart(show, memory_format):
    loader = open_loader(show, memory_format=memory_format)
    kept = [x for _ in range(2) for x, _ in loader]
    for batch, wanted in zip(kept, expected(show) * 2, strict=True):
        assert torch.equal(batch, wanted)
        assert all(batch[:, t].is_contiguous(memory_format=memory_format) for t in range(show.n_timesteps))
    assert_apart(kept)
    for batch in kept[::2]:
        batch.fill_(99)
    for batch, wanted in zip(kept[1::2], (expected(show) * 2)[1::2], strict=True):
        assert torch.equal(batch, wanted)


def write_through_numpy(batch: torch.Tensor) -> None:
    batch.numpy()[...] = 7


def write_through_a_view(batch: torch.Tensor) -> None:
    view = batch[:, ::2].flatten(2)
    view += torch.inf


def write_through_dlpack(batch: torch.Tensor) -> None:
    torch.from_dlpack(batch).zero_().sub_(3)


WRITERS: dict[str, Callable[[torch.Tensor], Any]] = {
    "in place": lambda batch: batch.mul_(0).add_(torch.nan),
    "through data": lambda batch: batch.data.fill_(-1),
    "through numpy": write_through_numpy,
    "through a view": write_through_a_view,
    "through dlpack": write_through_dlpack,
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
@pytest.mark.parametrize("show", list(SHOWS.values())[:3], ids=list(SHOWS)[:3])
def test_what_a_caller_wrote_never_shows_in_a_later_batch(write, show):
    loader, places, seen = open_loader(show), [], 0
    wanted = expected(show)
    for _ in range(2):
        for number, (batch, _) in enumerate(loader):
            assert torch.equal(batch, wanted[number])
            places.append(batch.data_ptr())
            seen += 1
            write(batch)
            assert not torch.equal(batch, wanted[number])
            del batch
    assert seen == 8
    assert len(set(places)) < seen


PARTS = st.lists(st.tuples(st.booleans(), st.integers(1, 40)), min_size=1, max_size=6)


@pytest.mark.slow
@given(PARTS, st.integers(33, 71), st.sampled_from([torch.float32, torch.float16]))
@settings(max_examples=40)
def test_wherever_void_begins_and_ends_between_pages_it_is_void_again(parts, width, dtype):
    show = Presentation.from_program([{"void": n} if is_void else {"image": n} for is_void, n in parts])
    repeat = 1 + (5 << 20) // (show.n_timesteps * 3 * 31 * width * dtype.itemsize)
    images = torch.randn(repeat, 3, 31, width, generator=torch.Generator().manual_seed(width)).to(dtype)
    sequence, memory, places = StimulusSequence(images, show), FrameMemory(), set()
    wanted = torch.stack([torch.zeros_like(images) if frame < 0 else images for frame in show.frames], dim=1)
    for _ in range(3):
        batch = memory.build(sequence)
        assert torch.equal(batch, wanted)
        places.add(batch.data_ptr())
        batch.fill_(7)
        del batch
    assert len(places) == 1


def keep_gradient(batch: torch.Tensor) -> Callable[[], torch.Tensor]:
    weight = torch.ones(1, requires_grad=True)
    total = (batch * weight).sum(dim=(0, 1, 2, 3, 4))
    return lambda: torch.autograd.grad(total, weight)[0]


def keep_view(batch: torch.Tensor) -> Callable[[], torch.Tensor]:
    view = batch[3:, 15:20, 1]
    return lambda: view.sum()


def keep_array(batch: torch.Tensor) -> Callable[[], torch.Tensor]:
    array = batch.numpy()[3:, 15:20]
    return lambda: torch.tensor(array.sum())


def keep_exchanged(batch: torch.Tensor) -> Callable[[], torch.Tensor]:
    array = np.from_dlpack(batch)
    return lambda: torch.tensor(array.sum())


@pytest.mark.parametrize("keep", [keep_gradient, keep_view, keep_array, keep_exchanged], ids=lambda f: f.__name__)
def test_memory_that_anything_still_refers_to_is_not_used_again(keep):
    loader, held, before, places = open_loader(), [], [], []
    for _ in range(2):
        for batch, _ in loader:
            held.append(keep(batch))
            before.append(keep(batch.clone())())
            places.append(batch.data_ptr())
            del batch
    assert len(set(places)) == len(places)
    for ask, value in zip(held, before, strict=True):
        torch.testing.assert_close(ask(), value, rtol=1e-6, atol=1e-6)


def test_array_that_is_written_after_its_batch_is_gone_shows_nowhere():
    loader, wanted, kept = open_loader(), expected(), []
    for _ in range(2):
        for number, (batch, _) in enumerate(loader):
            assert torch.equal(batch, wanted[number])
            kept.append(batch.numpy())
            del batch
            kept[-1][...] = 7
            if len(kept) == 3:
                del kept[0]
    assert all((array == 7).all() for array in kept)


def test_iterators_of_one_loader_do_not_disturb_each_other():
    loader, wanted = open_loader(), expected()
    kept = []
    for number, ((one, _), (other, _)) in enumerate(zip(loader, loader, strict=True)):
        kept += [one, other]
        one.add_(1)
        assert torch.equal(other, wanted[number])
    assert_apart(kept)


def test_threads_that_share_a_loader_get_whole_batches():
    loader, wanted, wrong = open_loader(), expected(), []

    def read() -> None:
        for _ in range(3):
            for number, (batch, _) in enumerate(loader):
                wrong.append(not torch.equal(batch, wanted[number]))
                batch.fill_(7)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 24
    assert not any(wrong)


def test_memory_is_used_again_when_batches_are_dropped():
    loader = open_loader()
    places = [batch.data_ptr() for _ in range(3) for batch, _ in loader]
    assert len(places) == 12
    assert len(set(places)) <= 4


def test_epoch_takes_the_memory_of_a_few_batches():
    loader, process = open_loader(Presentation.constant(100)), psutil.Process()
    next(iter(loader))
    before = process.memory_info().rss
    grown = [process.memory_info().rss - before for _ in range(4) for _ in loader]
    batch_bytes = SIZE * 100 * IMAGES[0].nbytes
    assert len(grown) * batch_bytes > 300e6
    assert max(grown) < 3.5 * batch_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives pages back at once")
def test_void_frames_take_no_memory():
    loader, process = open_loader(Presentation.duration(500, 2, 250)), psutil.Process()
    before = process.memory_info().rss
    (batch, _) = next(iter(loader))
    assert batch.nbytes > 90e6
    assert float(batch.abs().sum()) == pytest.approx(2 * float(IMAGES[:SIZE].abs().sum()), rel=1e-4)
    assert process.memory_info().rss - before < 40e6


def refuse_advice(*arguments: Any) -> bool:
    return False


@pytest.mark.parametrize(("name", "value"), [("_ZEROES", False), ("_advise", refuse_advice)])
@pytest.mark.parametrize("show", list(SHOWS.values())[:3], ids=list(SHOWS)[:3])
def test_without_pages_given_back_the_batches_are_the_same(name, value, show, monkeypatch):
    monkeypatch.setattr(frame_memory, name, value)
    loader, wanted = open_loader(show), expected(show)
    for _ in range(2):
        for number, (batch, _) in enumerate(loader):
            assert torch.equal(batch, wanted[number])
            batch.fill_(7)


def test_batch_outlives_its_loader():
    loader = open_loader()
    batch, _ = next(iter(loader))
    del loader
    gc.collect()
    others = [next(iter(open_loader())) for _ in range(3)]
    assert torch.equal(batch, expected()[0])
    assert_apart([batch, *(x for x, _ in others)])


@pytest.mark.parametrize("make_again", [copy.deepcopy, lambda loader: pickle.loads(pickle.dumps(loader))])
def test_loader_can_be_copied_and_pickled_while_its_batches_are_held(make_again):
    loader = open_loader(memory_format=torch.channels_last, dtype=torch.float16)
    held, _ = next(iter(loader))
    again = make_again(loader)
    kept = [held, *(x for x, _ in again)]
    assert [x.dtype for x in kept] == [torch.float16] * 5
    assert_apart(kept)
    for one, (other, _) in zip(kept[1:], loader, strict=True):
        assert torch.equal(one, other)
        assert one[:, 0].is_contiguous(memory_format=torch.channels_last)


def spoil(batch: torch.Tensor) -> None:
    batch.numpy()[...] = 7


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes are not forked")
def test_forked_process_cannot_write_into_its_parents_batches():
    batch, _ = next(iter(open_loader()))
    child = multiprocessing.get_context("fork").Process(target=spoil, args=(batch,))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert torch.equal(batch, expected()[0])


@pytest.mark.slow
def test_batch_that_no_memory_can_hold_says_what_to_do():
    sequence = StimulusSequence(torch.zeros(1).expand(200, 3, 512, 512), Presentation.duration(10**6, 1))
    message = r"a dense batch of \d+ MB does not fit into memory .*Use lazy=True, a smaller batch_size, or fewer time"
    with pytest.raises(MemoryError, match=message):
        FrameMemory().build(sequence)


def test_other_memory_format_is_an_error():
    with pytest.raises(ValueError, match=r"memory_format is torch\.contiguous_format or torch\.channels_last, not"):
        open_loader(memory_format=torch.preserve_format)
