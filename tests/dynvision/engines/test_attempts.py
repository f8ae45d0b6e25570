"""What follows a loss: the same attempt, one with more memory or time, or an error."""

from __future__ import annotations

from dataclasses import replace

from dynvision.engines.attempts import Attempt, Waiting, after_kill, after_loss, after_memory
from dynvision.engines.calls import Call, Resources
from dynvision.engines.workforce import Demand, Door, Loss, WorkerProcess, Workforce
from dynvision.errors import KilledError, OutOfMemoryError, OutOfTimeError

HOUR, GIB = 3600, 1 << 30
TWO = Call("models/a", "m:f", {}, (Resources(time=HOUR, memory=GIB), Resources(time=2 * HOUR, memory=2 * GIB)))
ONE = Call("models/a", "m:f", {}, (Resources(time=HOUR, memory=GIB),))
LIMIT = Loss("time", "job 7 has reached its time limit")


def test_a_lost_worker_costs_the_same_attempt_again() -> None:
    retry = after_loss(Attempt(TWO), Loss("lost", "job 7 was cancelled"), 10, "")
    assert retry.attempt == Attempt(TWO, losses=1)
    assert retry.sentence == "models/a: job 7 was cancelled; it is tried again"


def test_the_third_lost_worker_is_an_error_with_the_log() -> None:
    retry = after_loss(Attempt(TWO, losses=2), Loss("lost", "node n1 failed"), 10, " The log is x.")
    assert retry.attempt is None
    assert str(retry.error) == (
        "models/a: node n1 failed, and this was loss number 3. If it is the reason itself, it "
        "needs more memory than there is; otherwise run this again. The log is x."
    )


def test_a_time_limit_leads_to_the_attempt_with_more_time() -> None:
    retry = after_loss(Attempt(TWO), LIMIT, HOUR, "")
    assert retry.attempt == Attempt(TWO, entry=1)
    assert retry.sentence == "models/a: job 7 has reached its time limit; it is tried again with more time"


def test_the_last_time_limit_is_an_error_that_says_what_to_set() -> None:
    retry = after_loss(Attempt(ONE), LIMIT, HOUR, "")
    assert isinstance(retry.error, OutOfTimeError)
    assert str(retry.error) == (
        "models/a: job 7 has reached its time limit, after 3600 s. Give it more 'time' in config_compute.yaml."
    )


def test_a_time_limit_that_others_used_up_is_no_attempt_and_the_next_job_has_all_of_it_for_the_call() -> None:
    retry = after_loss(Attempt(ONE, losses=2), LIMIT, 60, "", is_first=False)
    assert retry.attempt == Attempt(ONE, losses=2, needs_fresh=True)
    assert retry.sentence == (
        "models/a: job 7 has reached its time limit, of which others had used a part; it is tried again in a new job"
    )


def test_a_call_that_had_nearly_all_of_the_time_gets_more_at_once_or_else_all_of_it() -> None:
    assert after_loss(Attempt(TWO), LIMIT, 0.9 * HOUR, "", is_first=False).attempt == Attempt(TWO, entry=1)
    again = after_loss(Attempt(ONE), LIMIT, 0.9 * HOUR, "", is_first=False).attempt
    assert again == Attempt(ONE, needs_fresh=True)
    assert after_loss(again, LIMIT, 0.7 * HOUR, "").attempt is None  # It began late, and nobody else is the reason.


def test_an_attempt_with_more_memory_and_no_more_time_does_not_follow_a_time_limit() -> None:
    call = replace(TWO, attempts=(TWO.attempts[0], replace(TWO.attempts[1], time=HOUR)))
    retry = after_loss(Attempt(call), LIMIT, HOUR, "")
    assert isinstance(retry.error, OutOfTimeError)
    assert str(retry.error) == (
        "models/a: job 7 has reached its time limit, after 3600 s. Give it more 'time' in config_compute.yaml."
    )


def test_a_limit_of_the_cluster_is_an_error_that_speaks_of_time_and_not_of_memory() -> None:
    call = replace(ONE, attempts=(Resources(memory=GIB),))
    assert after_loss(Attempt(call), LIMIT, 60, "", is_first=False).attempt == Attempt(call, needs_fresh=True)
    retry = after_loss(Attempt(call, needs_fresh=True), LIMIT, HOUR, " The log is x.")
    assert isinstance(retry.error, OutOfTimeError)
    assert str(retry.error) == (
        "models/a: job 7 has reached its time limit, after 3600 s. Set 'time' in config_compute.yaml: it says none, so "
        "that the limit of the cluster holds. The log is x."
    )
    more = replace(call, attempts=(*call.attempts, Resources(time=2 * HOUR)))
    assert after_loss(Attempt(more), LIMIT, HOUR, "").attempt == Attempt(more, entry=1)


class Workers(Workforce):
    """Workers of which some are fresh."""

    def __init__(self, *fresh: str) -> None:
        self.fresh = fresh

    def is_fresh(self, worker: WorkerProcess) -> bool:
        return worker.name in self.fresh

    def takes(self, worker: WorkerProcess, resources: Resources) -> bool:
        return True

    def open(self, door: Door) -> None: ...

    def adjust(self, *state: object) -> list[str]:
        return []

    def explain_loss(self, worker: WorkerProcess) -> Loss:
        return LIMIT

    def close(self) -> None: ...


def test_who_needs_all_the_time_of_a_worker_is_the_first_to_get_it_and_waits_for_it() -> None:
    waiting = Waiting(Workers("new"))
    used, new = WorkerProcess("tls://1", "used"), WorkerProcess("tls://2", "new")
    other, cut_off = Attempt(replace(ONE, name="models/b")), Attempt(ONE, needs_fresh=True)
    waiting.put(other)
    waiting.put(cut_off)
    assert waiting.demands([other]) == [Demand(ONE.attempts[0], waiting=2, running=1, priority=0, fresh=1)]
    assert waiting.take([used, new], []) == (cut_off, new)
    waiting.put(cut_off)
    assert waiting.take([used], []) == (other, used)
    assert waiting.take([used], []) is None
    waiting.put(Attempt(replace(ONE, priority=1)))
    assert waiting.demands([])[0] == Demand(ONE.attempts[0], waiting=2, running=0, priority=1, fresh=1)


def test_memory_of_a_job_that_ran_out_leads_to_more_of_it() -> None:
    retry = after_loss(Attempt(TWO), Loss("memory", "job 7 ran out of memory"), 10, "")
    assert retry.attempt == Attempt(TWO, entry=1)
    assert retry.sentence == "models/a: job 7 ran out of memory. It is tried again with 2 GiB of memory"


def test_entries_with_no_more_memory_are_passed_over() -> None:
    three = replace(TWO, attempts=(TWO.attempts[0], replace(TWO.attempts[0], time=9), TWO.attempts[1]))
    assert after_memory(Attempt(three), "models/a: out", "").attempt == Attempt(three, entry=2)


def test_memory_that_runs_out_in_the_last_attempt_is_an_error() -> None:
    retry = after_memory(Attempt(ONE), "models/a: out.", " The log is x.")
    assert isinstance(retry.error, OutOfMemoryError)
    assert str(retry.error) == "models/a: out. The log is x."


def test_a_child_that_was_killed_is_tried_with_more_memory_or_else_as_often_as_a_lost_worker() -> None:
    text = "models/a: it stopped (signal 9)."
    more = after_kill(Attempt(TWO), text, "")
    assert more.attempt == Attempt(TWO, entry=1)
    assert more.sentence == (
        "models/a: the process that computes it was killed (signal 9), as if memory had run out. It is tried again "
        "with 2 GiB of memory"
    )
    again = after_kill(Attempt(ONE, losses=1), text, "")
    assert again.attempt == Attempt(ONE, losses=2)
    assert again.sentence.endswith("was killed (signal 9), as if memory had run out; it is tried again")
    last = after_kill(Attempt(ONE, losses=2), text, " The log is x.")
    assert isinstance(last.error, KilledError)
    assert str(last.error) == (
        "models/a: it stopped (signal 9). This was loss number 3; give it more 'memory' in config_compute.yaml. The "
        "log is x."
    )
