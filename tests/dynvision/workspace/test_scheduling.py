"""A plan is built by an engine: at once what can be, in the order of the chain, and what fails takes the rest along."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dynvision.engines.attempts import Attempt
from dynvision.engines.calls import Call
from dynvision.engines.here import HereEngine
from dynvision.errors import ConfigError, DataError, DynvisionError, KilledError, OutOfTimeError
from dynvision.experiments.stores.journal import JOURNAL
from dynvision.experiments.stores.store import partial_path
from dynvision.stages.base import Stage
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets
from dynvision.workspace.failures import say_what_is_kept
from dynvision.workspace.grouping import chain_lengths, find_needs, group_targets, places_in_line, split_evenly
from dynvision.workspace.scheduling import Built, Schedule, ScheduleOptions
from dynvision.workspace.visibility import await_visible
from tests.helpers.engines import ScriptedEngine

SILENT = ScheduleOptions(tell=lambda line: None)
MODEL = Target(("models", "rcnn", "gratings"), "all_s0")


def targets_of(workspace: Workspace, *texts: str) -> list[Target]:
    return [target for text in texts for target in parse_target(workspace, text)]


def names(built: list[Built]) -> list[str]:
    return [str(one.target) for one in built]


def failing(
    pattern: str, error: Callable[[str], DynvisionError] = DynvisionError
) -> Callable[[Call], DynvisionError | None]:
    return lambda call: error(f"{call.name} went wrong.") if pattern in call.name else None


def test_what_does_not_depend_on_each_other_is_submitted_at_once(small_workspace: Workspace) -> None:
    plan = small_workspace.plan(targets_of(small_workspace, "interim/gratings"))
    engine = ScriptedEngine()
    built = list(Schedule(small_workspace, plan, engine, SILENT).run())
    assert engine.names[:2] == ["raw/gratings:train", "raw/gratings:test"]
    assert engine.together[0] == 2
    assert sorted(names(built)) == sorted(map(str, plan))
    assert all(one.was_built for one in built)
    for one in built:
        assert small_workspace.read_record(one.target) == one.record


def test_a_target_is_yielded_before_what_is_made_from_it_is_submitted(small_workspace: Workspace) -> None:
    plan = small_workspace.plan(targets_of(small_workspace, "interim/gratings:train_all"))
    engine = ScriptedEngine()
    seen = []
    for one in Schedule(small_workspace, plan, engine, SILENT).run():
        seen.append((str(one.target), list(engine.names)))
    assert seen == [
        ("raw/gratings:train", ["raw/gratings:train"]),
        ("interim/gratings:train_all", ["raw/gratings:train", "interim/gratings:train_all"]),
    ]


def test_the_longest_chain_has_the_highest_priority(small_workspace: Workspace) -> None:
    plan = small_workspace.plan(targets_of(small_workspace, "summary/contrast/rcnn_gratings"))
    lengths = chain_lengths(find_needs(small_workspace, plan))
    by_text = {str(target): length for target, length in lengths.items()}
    assert by_text["summary/contrast/rcnn_gratings"] == 1
    assert by_text["responses/contrast/rcnn_gratings:contrast=0.5"] == 2
    assert by_text["raw/gratings:train"] == 6
    assert by_text["raw/gratings:test"] == 5


def test_with_one_place_to_compute_the_first_result_is_finished_before_the_next_is_begun(
    small_workspace: Workspace,
) -> None:
    wanted = [f"summary/{name}/rcnn_gratings" for name in ("duration", "contrast")]
    needs = find_needs(
        small_workspace, small_workspace.plan([t for n in wanted for t in targets_of(small_workspace, n)])
    )
    places = places_in_line(needs)
    assert all(places[upstream] > places[target] for target in needs for upstream in needs[target])
    line = list(dict.fromkeys("/".join(target.key) for target in sorted(places, key=lambda target: -places[target])))
    assert line[-4:] == [
        f"{stage}/{name}/rcnn_gratings" for name in ("duration", "contrast") for stage in ("responses", "summary")
    ]


@pytest.mark.parametrize(("may_grow", "order"), [(False, places_in_line), (True, chain_lengths)])
def test_long_chains_come_first_where_one_place_may_become_several(
    small_workspace: Workspace, may_grow: bool, order: Callable[..., dict[Target, int]]
) -> None:
    plan = small_workspace.plan(targets_of(small_workspace, "interim/gratings"))
    engine = ScriptedEngine(1, failing("raw"), may_grow=may_grow)
    with pytest.raises(DynvisionError):
        list(Schedule(small_workspace, plan, engine, SILENT).run())
    priorities = order(find_needs(small_workspace, plan))
    assert {call.name: call.priority for call in engine.submitted} == {
        str(target): priority for target, priority in priorities.items() if target.key[0] == "raw"
    }


def test_what_a_target_needs_is_found_through_targets_that_are_not_built(small_workspace: Workspace) -> None:
    (raw,) = targets_of(small_workspace, "raw/gratings:train")
    assert find_needs(small_workspace, [raw, MODEL])[MODEL] == {raw}


def test_all_conditions_are_one_call_if_one_is_computed_at_a_time(small_workspace: Workspace) -> None:
    plan = targets_of(small_workspace, "responses/contrast/rcnn_gratings")
    engine = ScriptedEngine(slots=1, fail=failing("responses"))
    with pytest.raises(DynvisionError, match="responses/contrast/rcnn_gratings \\(3 partitions\\) went wrong"):
        list(Schedule(small_workspace, plan, engine, SILENT).run())
    assert [call.arguments["targets"] for call in engine.submitted] == [[str(target) for target in plan]]


@pytest.mark.parametrize(("slots", "sizes"), [(2, [2, 1]), (3, [1, 1, 1]), (9, [1, 1, 1])])
def test_conditions_are_split_over_free_slots(small_workspace: Workspace, slots: int, sizes: list[int]) -> None:
    plan = targets_of(small_workspace, "responses/contrast/rcnn_gratings")
    engine = ScriptedEngine(slots, failing("responses"))
    with pytest.raises(DynvisionError):
        list(Schedule(small_workspace, plan, engine, SILENT).run())
    assert [len(call.arguments["targets"]) for call in engine.submitted] == sizes


def test_conditions_are_split_over_the_slots_of_their_own_kind(small_workspace: Workspace) -> None:
    engine = ScriptedEngine(5, failing("responses"))
    engine.slots_for = lambda resources, here=False: 2 if resources.gpu_if_there else 5  # type: ignore[method-assign]
    plan = targets_of(small_workspace, "responses/contrast/rcnn_gratings")
    with pytest.raises(DynvisionError):
        list(Schedule(small_workspace, plan, engine, SILENT).run())
    assert [len(call.arguments["targets"]) for call in engine.submitted] == [2, 1]


def test_sweeps_share_the_slots_and_are_not_split_where_there_are_no_more_than_sweeps(
    small_workspace: Workspace,
) -> None:
    plan = targets_of(small_workspace, "responses/contrast/rcnn_gratings", "responses/duration/rcnn_gratings")
    engine = ScriptedEngine(2, failing("responses"))
    with pytest.raises(DynvisionError):
        list(Schedule(small_workspace, plan, engine, SILENT).run())
    assert [len(call.arguments["targets"]) for call in engine.submitted] == [3, 2]


def test_parts_are_neighbours_and_none_is_empty(small_workspace: Workspace) -> None:
    some = targets_of(small_workspace, "interim/gratings")
    for parts in range(1, 9):
        cut = split_evenly(some, parts)
        assert [target for part in cut for target in part] == some
        assert len(cut) == min(parts, len(some))
        assert max(map(len, cut)) - min(map(len, cut)) <= 1


def test_conditions_that_need_other_resources_are_not_recorded_together(tmp_path: Path, small_config: Path) -> None:
    (small_config / "config_compute.yaml").write_text(
        'stages: {summary: here}\ntargets: {"*=1.0": {memory: [2G, 4G]}}\n'
    )
    workspace = Workspace.open(tmp_path, small_config)
    groups = group_targets(
        workspace, targets_of(workspace, "responses/contrast/rcnn_gratings", "summary/contrast/rcnn_gratings")
    )
    assert [(len(group.targets), len(group.attempts), group.here) for group in groups] == [
        (2, 1, False),
        (1, 2, False),
        (1, 1, True),
    ]


def test_a_failure_takes_along_what_is_made_from_it_and_nothing_else(small_workspace: Workspace) -> None:
    plan = small_workspace.plan(targets_of(small_workspace, "interim/gratings"))
    schedule = Schedule(small_workspace, plan, ScriptedEngine(fail=failing("raw/gratings:train")), SILENT)
    built: list[Built] = []
    with pytest.raises(DynvisionError) as caught:
        built.extend(schedule.run())
    assert sorted(names(built)) == ["interim/gratings:test_all", "interim/gratings:test_pair", "raw/gratings:test"]
    assert str(caught.value) == (
        "raw/gratings:train went wrong.\n"
        "Not built because of that: interim/gratings:train_all, interim/gratings:train_pair"
    )


def test_the_error_is_of_the_kind_of_the_first_and_names_the_others(small_workspace: Workspace) -> None:
    plan = targets_of(small_workspace, "raw/gratings")
    engine = ScriptedEngine(fail=failing("raw", ConfigError))
    with pytest.raises(ConfigError) as caught:
        list(Schedule(small_workspace, plan, engine, SILENT).run())
    first, second = str(caught.value).split("\nAlso failed:\n  ")
    assert {first, second.partition(": ")[2]} == {"raw/gratings:train went wrong.", "raw/gratings:test went wrong."}


def test_one_error_alone_is_raised_as_it_is(small_workspace: Workspace) -> None:
    error = DynvisionError("the disk is full")
    engine = ScriptedEngine(fail=lambda call: error)
    with pytest.raises(DynvisionError) as caught:
        list(Schedule(small_workspace, targets_of(small_workspace, "raw/gratings:test"), engine, SILENT).run())
    assert caught.value is error


def test_whoever_receives_a_target_may_refuse_it(small_workspace: Workspace) -> None:
    plan = small_workspace.plan(targets_of(small_workspace, "interim/gratings:train_all"))
    engine = ScriptedEngine()
    schedule = Schedule(small_workspace, plan, engine, SILENT)

    def refuse() -> None:
        for one in schedule.run():
            schedule.fail(one.target, DataError(f"{one.target} is not good."))

    with pytest.raises(DataError, match=r"raw/gratings:train is not good\.\nNot built because of that: interim"):
        refuse()
    assert engine.names == ["raw/gratings:train"]


def test_a_damaged_condition_does_not_keep_the_others_of_its_call(small_workspace: Workspace) -> None:
    plan = targets_of(small_workspace, "responses/contrast/rcnn_gratings")

    def fail(call: Call) -> DynvisionError | None:
        return (
            DataError("V1 is not finite.")
            if any("=0.5" in text for text in call.arguments["targets"])
            else (DynvisionError(f"{call.name} was tried alone."))
        )

    engine = ScriptedEngine(slots=1, fail=fail)
    with pytest.raises(DynvisionError) as caught:
        list(Schedule(small_workspace, plan, engine, SILENT).run())
    assert [len(call.arguments["targets"]) for call in engine.submitted] == [3, 1, 1, 1]
    assert "V1 is not finite." in str(caught.value)
    assert str(caught.value).count("was tried alone.") == 2


def test_conditions_whose_time_together_is_over_are_recorded_in_halves(small_workspace: Workspace) -> None:
    plan = targets_of(small_workspace, "responses/contrast/rcnn_gratings")

    def fail(call: Call) -> DynvisionError | None:
        kind = OutOfTimeError if len(call.arguments["targets"]) > 1 else ConfigError
        return kind(f"{call.name} ended.")

    engine, lines = ScriptedEngine(slots=1, fail=fail), list[str]()
    options = ScheduleOptions(tell=lines.append, look_again=False, wait=False)
    with pytest.raises(ConfigError, match=r"contrast=0\.1 ended") as caught:
        list(Schedule(small_workspace, plan, engine, options).run())
    assert str(caught.value).count(" ended.") == 3
    assert sorted(len(call.arguments["targets"]) for call in engine.submitted) == [1, 1, 1, 2, 3]
    # The lock of the job whose time was over may still be there.
    assert [call.arguments["wait"] for call in engine.submitted] == [False, True, True, True, True]
    assert lines[0] == (
        "responses/contrast/rcnn_gratings (3 partitions): the time was too short for all of them together; they go on "
        "in two calls"
    )


def test_one_condition_whose_time_is_over_has_failed(small_workspace: Workspace) -> None:
    plan = targets_of(small_workspace, "responses/contrast/rcnn_gratings:contrast=0.5")
    engine = ScriptedEngine(fail=failing("responses", OutOfTimeError))
    with pytest.raises(OutOfTimeError):
        list(Schedule(small_workspace, plan, engine, SILENT).run())
    assert len(engine.submitted) == 1


def test_what_is_up_to_date_when_its_turn_comes_is_left_out(small_workspace: Workspace) -> None:
    plan = small_workspace.plan(targets_of(small_workspace, "interim/gratings:train_all"))
    folders = {"root": str(small_workspace.paths.root), "config": small_workspace.snapshot}
    build_targets(["raw/gratings:train"], **folders)
    engine = ScriptedEngine()
    lines: list[str] = []
    built = list(Schedule(small_workspace, plan, engine, ScheduleOptions(tell=lines.append)).run())
    assert names(built) == ["interim/gratings:train_all"]
    assert lines == ["interim/gratings:train_all: it has not been built"]


def test_what_another_process_built_meanwhile_is_told_from_what_was_built(small_workspace: Workspace) -> None:
    plan = targets_of(small_workspace, "raw/gratings:test")
    folders = {"root": str(small_workspace.paths.root), "config": small_workspace.snapshot}
    build_targets([str(plan[0])], **folders)
    options = dataclasses.replace(SILENT, look_again=False)
    (one,) = Schedule(small_workspace, plan, ScriptedEngine(), options).run()
    assert not one.was_built
    (forced,) = Schedule(
        small_workspace, plan, ScriptedEngine(), dataclasses.replace(options, forced=frozenset(plan))
    ).run()
    assert forced.was_built


def test_each_target_is_announced_before_it_is_submitted(small_workspace: Workspace) -> None:
    plan = small_workspace.plan(targets_of(small_workspace, "interim/gratings:train_all"))
    engine = ScriptedEngine()
    begun: list[tuple[str, int]] = []
    options = dataclasses.replace(SILENT, begin=lambda target: begun.append((str(target), len(engine.submitted))))
    list(Schedule(small_workspace, plan, engine, options).run())
    assert begun == [("raw/gratings:train", 0), ("interim/gratings:train_all", 1)]


def test_an_attempt_after_a_lost_worker_waits_for_what_that_has_locked(small_workspace: Workspace) -> None:
    plan = targets_of(small_workspace, "raw/gratings:test")
    engine = ScriptedEngine(fail=failing("raw"))
    with pytest.raises(DynvisionError):
        list(Schedule(small_workspace, plan, engine, dataclasses.replace(SILENT, wait=False)).run())
    (submitted,) = engine.submitted
    assert submitted.arguments["wait"] is False
    attempts = [Attempt(submitted), Attempt(submitted, started=1), Attempt(submitted, unstarted=1)]
    assert [attempt.arguments["wait"] for attempt in attempts] == [False, True, True]


@pytest.mark.slow
def test_a_record_of_another_machine_is_waited_for(small_workspace: Workspace) -> None:
    (target,) = targets_of(small_workspace, "raw/gratings:test")
    folders = {"root": str(small_workspace.paths.root), "config": small_workspace.snapshot}
    build_targets([str(target)], **folders)
    record = small_workspace.read_record(target)
    assert record is not None
    (manifest,) = small_workspace.stage(target).record_files(target)
    aside = manifest.with_name("aside")
    manifest.rename(aside)
    assert not await_visible(small_workspace, target, record, patience=0.0)
    threading.Timer(0.3, lambda: aside.rename(manifest)).start()
    start = time.perf_counter()
    assert await_visible(small_workspace, target, record, patience=10.0)
    assert time.perf_counter() - start < 5


@pytest.mark.slow
def test_a_plan_is_built_by_the_child_process_of_this_one(small_workspace: Workspace) -> None:
    plan = small_workspace.plan(targets_of(small_workspace, "interim/gratings:train_pair"))
    with HereEngine() as engine:
        built = list(Schedule(small_workspace, plan, engine, SILENT).run())
    assert names(built) == ["raw/gratings:train", "interim/gratings:train_pair"]


def test_the_error_of_a_target_says_what_of_it_is_kept(small_workspace: Workspace) -> None:
    first, second = targets_of(small_workspace, "responses/contrast/rcnn_gratings")[:2]
    folder = partial_path(small_workspace.stage(first).output(first))
    folder.mkdir(parents=True)
    (folder / JOURNAL).write_text("the header\na batch\nanother\na third that is cut o")
    error = KilledError("it was killed")
    kept = "2 batches of its recording are on the disk; the next make of the same goes on from there."
    assert str(say_what_is_kept(small_workspace, [first], error)) == f"it was killed. {kept}"
    text = str(say_what_is_kept(small_workspace, [first, second], error))
    assert text == f"it was killed. 1 of 2 is kept in part: {kept}"
    assert say_what_is_kept(small_workspace, [second], error) is error
    refused = ConfigError("a wrong setting")
    assert say_what_is_kept(small_workspace, [first], refused) is refused


def test_a_target_that_fails_says_from_where_the_next_make_goes_on(
    small_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stage, "describe_unfinished", lambda stage, target: "its training came to epoch 3")
    plan = small_workspace.plan(targets_of(small_workspace, "raw/gratings:train"))
    with pytest.raises(KilledError) as caught:
        list(Schedule(small_workspace, plan, ScriptedEngine(fail=failing("raw/", KilledError)), SILENT).run())
    assert str(caught.value) == (
        "raw/gratings:train went wrong. Its training came to epoch 3; the next make of the same goes on from there."
    )


def test_what_the_engine_can_never_compute_is_refused_before_anything_is_built(
    tmp_path: Path, small_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small_config / "config_compute.yaml").write_text("stages: {models: {gpus: 2}}")
    workspace, engine = Workspace.open(tmp_path, small_config), ScriptedEngine()
    monkeypatch.setattr(engine, "refusal", lambda resources, here: "it asks for too much." if resources.gpus else "")
    with pytest.raises(ConfigError) as caught:
        list(Schedule(workspace, workspace.plan([MODEL]), engine, SILENT).run())
    assert str(caught.value) == f"{MODEL}: it asks for too much."
    assert engine.submitted == []
