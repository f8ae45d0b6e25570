"""What follows a loss: the same attempt, one with more memory or time, or an error."""

from __future__ import annotations

from dataclasses import replace

from dynvision.engines.attempts import Attempt, after_kill, after_loss, after_memory
from dynvision.engines.calls import Call, Resources
from dynvision.engines.workforce import Loss
from dynvision.errors import DynvisionError, KilledError, OutOfMemoryError

HOUR, GIB = 3600, 1 << 30
TWO = Call("models/a", "m:f", {}, (Resources(time=HOUR, memory=GIB), Resources(time=2 * HOUR, memory=2 * GIB)))
ONE = Call("models/a", "m:f", {}, (Resources(time=HOUR, memory=GIB),))


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
    retry = after_loss(Attempt(TWO), Loss("time", "job 7 reached its time limit"), HOUR, "")
    assert retry.attempt == Attempt(TWO, entry=1)
    assert retry.sentence == "models/a: job 7 reached its time limit; it is tried again with more time"


def test_the_last_time_limit_is_an_error_that_says_what_to_set() -> None:
    retry = after_loss(Attempt(ONE), Loss("time", "job 7 reached its time limit"), HOUR, "")
    assert isinstance(retry.error, DynvisionError)
    assert str(retry.error) == (
        "models/a: job 7 reached its time limit, after 3600 s. Give it more 'time' in config_compute.yaml."
    )


def test_a_time_limit_that_others_used_up_is_no_fault_of_the_call() -> None:
    retry = after_loss(Attempt(ONE), Loss("time", "job 7 reached its time limit"), 60, "")
    assert retry.attempt == Attempt(ONE, losses=1)


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
