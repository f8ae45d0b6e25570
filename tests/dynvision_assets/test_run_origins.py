"""Runs of the command line belong to the definitions, so that the timeline and the page of their job show them."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from dynvision_assets.instances.run_origins import LOCATION, REPOSITORY
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace
from tests.helpers.commands import call_dynvision
from tests.helpers.instances import open_instance


def test_a_run_of_the_command_line_is_one_of_the_definitions_and_is_not_started_again(empty_root: Path) -> None:
    definitions = make_definitions(open_workspace(empty_root))
    assert definitions.get_repository_def().name == REPOSITORY
    assert call_dynvision(empty_root, "make", "raw/gratings:test").exit_code == 0
    with open_instance(empty_root) as instance:
        # The page of a job asks for the runs with this tag.
        (run,) = instance.get_runs(
            dg.RunsFilter(job_name="make", tags={".dagster/repository": f"{REPOSITORY}@{LOCATION}"})
        )
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.job_name == "make"
    assert run.remote_job_origin.location_name == LOCATION
    assert run.tags["dagster/max_retries"] == "0"
    assert run.tags["dagster/max_runtime"] == "0", "nothing but the person at the terminal ends it"
