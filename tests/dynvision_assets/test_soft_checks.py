"""Checks of the data stages in Dagster: a soft one that fails is a warning and stops nothing."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from tests.helpers.chains import states
from tests.helpers.commands import call_dynvision
from tests.helpers.configuration import edit_config
from tests.helpers.instances import latest_check, open_instance

RAW = ("raw", "gratings")
CHECKS = {
    RAW: [
        "classes_hold_the_images_that_were_counted",
        "classes_are_balanced",
        "every_file_is_an_image",
        "a_sample_of_images_can_be_decoded",
        "statistics_are_those_of_the_images",
    ],
    ("interim", "gratings"): ["every_link_resolves", "linked_images_are_those_that_were_counted"],
}


def test_a_soft_check_that_fails_is_a_warning_and_the_graph_goes_on(empty_root: Path) -> None:
    edit_config(empty_root, "mean: [0.5, 0.5, 0.5]", "mean: [0.9, 0.5, 0.5]")
    made = call_dynvision(empty_root, "make", "interim/gratings:train_all")
    assert made.exit_code == 0, made.output
    found = states(empty_root)
    assert found["raw/gratings:train"] == found["interim/gratings:train_all"] == "fresh"
    with open_instance(empty_root) as instance:
        for key, names in CHECKS.items():
            for name in names:
                check = latest_check(instance, key, name)
                assert check is not None, f"{name} was not recorded"
                assert check.passed is (name != "statistics_are_those_of_the_images"), name
                assert check.description, name
        check = latest_check(instance, RAW, "statistics_are_those_of_the_images")
    assert check is not None
    assert check.severity == dg.AssetCheckSeverity.WARN
    offenders = str(check.metadata["offenders"].value)
    assert offenders.startswith("mean of channel 0: ")
    assert offenders.splitlines()[0].endswith("data_statistics says 0.9000")
    assert check.metadata["mean_0"].value == check.metadata["mean_1"].value
