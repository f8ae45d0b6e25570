"""What every engine can do: take calls, and give them back finished."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

from dynvision.engines.calls import Call, Outcome, Resources
from dynvision.errors import DynvisionError

__all__ = ["Engine"]


class Engine(ABC):
    """Computes calls, several at once if it can. Use it in a `with` block: at its end nothing is left running.

    Attributes:
        slots: How many calls it may compute at once.
        link: Where its work can be watched, such as the address of a dashboard; `None` if there is no such place.
        is_closed: Whether it was closed, by whoever opened it or because it does not work any more. It takes no call.
    """

    slots: int = 1
    link: str | None = None
    is_closed: bool = False

    @property
    @abstractmethod
    def has_calls(self) -> bool:
        """Whether there are calls whose outcome was not returned yet."""

    @property
    def has_one_place(self) -> bool:
        """Whether it computes one call at a time for as long as it is open."""
        return self.slots == 1

    def slots_for(self, resources: Resources, here: bool = False) -> int:
        """Return how many calls of one kind may be computed at once, such as those that need a GPU.

        Args:
            resources: What they need.
            here: Whether they are computed by the controlling machine.
        """
        return 1 if here else self.slots

    def refusal(self, resources: Resources, here: bool = False) -> str:
        """Say why a call that needs these resources can never be computed; an empty text if it may be.

        Args:
            resources: What it needs.
            here: Whether it is computed by the controlling machine.
        """
        return ""

    @abstractmethod
    def submit(self, call: Call) -> None:
        """Take a call. It starts when there is room, calls of higher priority first.

        Raises:
            DynvisionError: If the engine is closed.
        """

    @abstractmethod
    def wait(self, tell: Callable[[str], object] | None = None) -> Outcome:
        """Wait until any of the calls has ended, and return how.

        An error of a call is part of its outcome, not raised.

        Args:
            tell: Takes lines about the progress of all running calls, from this thread.

        Raises:
            DynvisionError: If the engine itself does not work, so that nothing can be computed; what was finished is
                kept, and the engine is closed. Also if it is closed already, or has no calls.
            KeyboardInterrupt: After a signal.
        """

    @abstractmethod
    def close(self) -> None:
        """End everything that still runs or waits, here and on other machines."""

    def check_open(self) -> None:
        """Raise if the engine is closed.

        Raises:
            DynvisionError: If it is.
        """
        if self.is_closed:
            raise DynvisionError("the engine is closed and computes nothing any more; run this again.")

    def check_waits(self) -> None:
        """Raise if there is nothing to wait for.

        Raises:
            DynvisionError: If the engine is closed or has no calls.
        """
        self.check_open()
        if not self.has_calls:
            raise DynvisionError("no call was submitted that could be waited for")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
