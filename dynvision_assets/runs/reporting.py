"""Recording the targets of a run: each at once when it is finished, and only if its checks allow it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import dagster as dg

from dynvision.errors import DataError, DynvisionError
from dynvision.records import Record
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.building import reject_targets
from dynvision.workspace.scheduling import Built, Schedule
from dynvision_assets.runs.checks import CheckBook
from dynvision_assets.runs.events import is_known, make_materialization
from dynvision_assets.runs.observing import observe_config

__all__ = ["Event", "Reporter"]

Event = dg.AssetMaterialization | dg.AssetCheckEvaluation


@dataclass
class Reporter:
    """Turns what a schedule has finished into Dagster's events.

    Attributes:
        workspace: The workspace.
        instance: Dagster's instance.
        every: Whether a target that another process has built is recorded also if Dagster knows it already.
        built: The targets that were built and recorded, in order.
        known: What another process has built and Dagster knows already, so that it was not recorded.
    """

    workspace: Workspace
    instance: dg.DagsterInstance
    every: bool
    built: list[Target] = field(default_factory=list)
    known: list[Built] = field(default_factory=list)

    def report(self, schedule: Schedule) -> Iterator[Event]:
        """Build everything, and yield the events of each target at once when it is finished.

        Raises:
            DynvisionError: At the end, if a target failed, or a hard check of one does not hold.
        """
        book = CheckBook(self.workspace, self.instance)
        failure: DynvisionError | None = None
        try:
            for built in schedule.run():
                yield from self._report(built, schedule, book)
        except DynvisionError as error:
            failure = error
            yield from book.explain(schedule.failed)
            # The run has planned them and is about to fail. Without events of their own they would be shown as failed.
            for built in self.known:
                yield from self._record(built, schedule, book)
        yield from book.combine()
        if failure is not None:
            raise failure

    def report_existing(self, existing: Iterable[tuple[Target, Record]]) -> Iterator[Event]:
        """Yield the events of targets that are up to date, and that Dagster does not know.

        One that does not pass a hard check is set aside, so that it counts as missing from then on.

        Raises:
            DynvisionError: If such a target cannot be set aside.
        """
        book = CheckBook(self.workspace, self.instance)
        for target, record in existing:
            evaluations, failed = book.check(target, record)
            yield from evaluations
            if failed is None:
                observe_config(self.workspace, self.instance, target)
                yield make_materialization(self.workspace, self.instance, target, record)
            else:
                self._reject(target)
        yield from book.combine()

    def _report(self, built: Built, schedule: Schedule, book: CheckBook) -> Iterator[Event]:
        is_old_news = not built.was_built and not self.every
        if is_old_news and is_known(self.workspace, self.instance, built.target, built.record):
            self.known.append(built)
        else:
            yield from self._record(built, schedule, book)

    def _record(self, built: Built, schedule: Schedule, book: CheckBook) -> Iterator[Event]:
        """Yield the checks of a target and, if no hard one fails, its materialization."""
        target, record = built.target, built.record
        evaluations, failed = book.check(target, record)
        yield from evaluations
        if failed is not None:
            why = f"{target}: {failed.name} does not hold: {failed.sentence}."
            try:
                self._reject(target)
            except DynvisionError as error:  # The other targets go on all the same.
                schedule.fail(target, type(error)(f"{why} It could not be set aside: {error}"))
                return
            schedule.fail(target, DataError(f"{why} Build it again: dynvision make --force {target}"))
            return
        yield make_materialization(self.workspace, self.instance, target, record)
        if built.was_built:
            self.built.append(target)

    def _reject(self, target: Target) -> None:
        reject_targets([str(target)], root=str(self.workspace.paths.root), config=self.workspace.snapshot)
