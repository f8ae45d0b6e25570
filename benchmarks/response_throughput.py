"""The steps of a sweep in a bare loop, in our runner, and with all responses recorded."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks.response_sweep import Sweep

BATCH = 100


def throughput(root: str, config: str, target: str, rounds: int) -> dict[str, Any]:
    """Time a sweep in alternating rounds.

    Returns:
        `times`, wall and CPU seconds of each round: of a `bare` loop, our runner with nothing recorded (`unrecorded`),
        `opening` network and stores, and our runner with everything `recorded`; and how many steps are computed and
        images shown.
    """
    from dynvision.experiments.reducing import Reduction
    from dynvision.experiments.showing import SweepRunner
    from dynvision.experiments.stepping import NetworkStepper

    sweep = Sweep(root, config, target)
    runner = sweep.runner
    batches = [images.clone() for images in sweep.batches(BATCH)]
    stepper = NetworkStepper(runner.stepper.network, [], Reduction("channel"))
    bare_runner = SweepRunner(stepper, runner.presentations, sweep.order.idle)

    def show_unrecorded() -> None:
        for images in batches:
            bare_runner.stream(images, np.arange(len(images)), lambda *_: None)

    times: dict[str, list[tuple[float, float]]] = {"bare": [], "unrecorded": [], "opening": [], "recorded": []}
    for number in range(rounds + 1):
        _, bare = _time(lambda: _loop_over_steps(runner, batches))
        _, unrecorded = _time(show_unrecorded)
        record, opening = _time(sweep.open_stores)
        _, recorded = _time(record)
        if number:  # the first round warms up
            for name, spent in zip(times, (bare, unrecorded, opening, recorded), strict=True):
                times[name].append(spent)
        sweep.remove_stores()  # at the end of a round: ext4 is slow to create files just after many were deleted
    return {
        "times": times,
        "steps": runner.steps_computed,
        "naive": runner.steps_naive,
        "images": len(sweep.sample_ids),
    }


def _loop_over_steps(runner: Any, batches: list[torch.Tensor]) -> None:
    """Compute the network's steps and nothing else: a frame is the image at its contrast, states are passed on."""
    network, presentations = runner.stepper.network, runner.presentations
    with torch.inference_mode():
        for images in batches:
            states: dict[int, Any] = {}
            for branch in runner.plan:
                presentation, state = presentations[branch.shown_by], states.get(branch.start)
                for t in range(branch.start, branch.stop):
                    contrast = float(presentation.contrasts[t]) if presentation.frames[t] >= 0 else 0.0
                    _, state = network.step(images * contrast, state)
                states[branch.stop] = state


def _time(function: Any) -> tuple[Any, tuple[float, float]]:
    """Call a function; return its result, and its wall and CPU seconds."""
    start, cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, (time.perf_counter() - start, time.process_time() - cpu)
