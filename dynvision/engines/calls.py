"""A call of a library function, what it needs, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dynvision.errors import DynvisionError

__all__ = ["Call", "Outcome", "Resources"]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one attempt at a call needs.

    Attributes:
        cpus: Cores of a job, and the threads of its libraries. A training has its own number of threads.
        memory: Bytes; `None` asks for nothing.
        time: Seconds; `None` asks for nothing.
        gpus: GPUs.
        gpu_if_there: Whether a GPU of this machine is used, though none is asked for. Jobs are given none for it.
        account: Who is charged, in the words of the cluster.
        partition: The queue, in the words of the cluster.
        extra: Further options of the job, as the submitting command takes them.
    """

    cpus: int = 1
    memory: int | None = None
    time: int | None = None
    gpus: int = 0
    gpu_if_there: bool = False
    account: str | None = None
    partition: str | None = None
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """A call of `module:function` with JSON-ready arguments. It may be repeated: the functions are idempotent.

    Attributes:
        name: What it makes, for people: targets as text.
        function: The import path.
        arguments: JSON-ready arguments.
        attempts: What the first attempt needs, the second, …; a call that lost its worker or ran out of memory or
            time is tried again with the next. There is at least one.
        priority: Calls with a higher one start first.
        here: Whether it is computed by the controlling machine, whatever the engine.
        again: Arguments that differ in every attempt after the first one: what that has left may be in the way.
    """

    name: str
    function: str
    arguments: Mapping[str, Any]
    attempts: tuple[Resources, ...] = (Resources(),)
    priority: int = 0
    here: bool = False
    again: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a call ended.

    Attributes:
        call: The call.
        result: What the function returned, a JSON-ready value; `None` if there is an error.
        error: The error, if there was one.
        where: The machine and process that computed it, for people; empty if it is this one.
        seconds: How long the last attempt ran.
        attempts: How many attempts there were.
    """

    call: Call
    result: Any = None
    error: DynvisionError | None = None
    where: str = ""
    seconds: float = field(default=0.0, compare=False)
    attempts: int = 1
