"""What a change of the configuration, or a file that is gone, makes stale or missing."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

from dynvision.targets import Target
from tests.helpers.chains import records, states
from tests.helpers.commands import call_dynvision
from tests.helpers.configuration import edit_config
from tests.helpers.instances import materializations, open_instance
from tests.helpers.making import CONTRAST, inodes, store

MADE_OF_TEST_IMAGES = ["responses/*", "summary/*"]
CHANGES = {
    "a comment": ("use_ffcv: true", "use_ffcv: true   # as before", []),
    "a class group": (
        "ends: [0, 2]",
        "ends: [0, 1]",
        ["interim/*_ends", "processed/*_ends", "responses/contrast/rcnn_ends:*"],
    ),
    "another group": ("ends: [0, 2]", "ends: [0, 2], first: [0, 1]", []),
    "how many test images there are": (
        "test_per_class: 4",
        "test_per_class: 5",
        ["raw/gratings:test", "interim/gratings:test_*", "processed/gratings:test_*", *MADE_OF_TEST_IMAGES],
    ),
    "the training split": (
        "train_ratio: 0.75",
        "train_ratio: 0.5",
        ["processed/gratings:train_all", "models/*", *MADE_OF_TEST_IMAGES],
    ),
    "a training setting": ("epochs: 1", "epochs: 2", ["models/*", *MADE_OF_TEST_IMAGES]),
    "what is recorded": ("layers: [V1, IT, classifier]", "layers: [V1, classifier]", MADE_OF_TEST_IMAGES),
    "the timing of one experiment": ("stim: 3", "stim: 2", ["responses/contrast/*", "summary/contrast/*"]),
    "one more level": (
        "contrast: [0.1, 0.5, 0.8, 1.0]",
        "contrast: [0.1, 0.3, 0.5, 0.8, 1.0]",
        ["summary/contrast/rcnn_gratings"],
    ),
    "one level less": (
        "contrast: [0.1, 0.5, 0.8, 1.0]",
        "contrast: [0.1, 0.5, 0.8]",
        ["summary/contrast/rcnn_gratings"],
    ),
    "the noise of one subject": ("sensor_noise: 0.25", "sensor_noise: 0.75", ["responses/contrast/rcnn_ends:*"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_yaml_makes_exactly_the_right_partitions_stale(
    made_root: Path, empty_root: Path, change: str
) -> None:
    old, new, patterns = CHANGES[change]
    config = empty_root / "config"
    before = states(made_root, config)
    edit_config(empty_root, old, new)
    after = states(made_root, config)
    made = {target for target, state in before.items() if state == "fresh"} & set(after)
    stale = {target for target in made if after[target] == "stale"}
    assert stale == {target for target in made if any(fnmatch(target, pattern) for pattern in patterns)}
    assert all(after[target] == "fresh" for target in made - stale)
    for pattern in patterns:
        assert any(fnmatch(target, pattern) for target in stale), f"nothing was made that '{pattern}' means"


def test_a_new_level_is_missing_and_make_builds_it_and_the_summary_alone(chain: Path) -> None:
    edit_config(chain, "contrast: [0.1, 0.5, 0.8, 1.0]", "contrast: [0.1, 0.3, 0.5, 0.8, 1.0]")
    before = inodes(chain, "0.1", "0.5", "0.8", "1.0")
    level = Target(CONTRAST, "contrast=0.3")
    assert states(chain)[str(level)] == "missing"
    done = call_dynvision(chain, "make", "summary/contrast/rcnn_gratings")
    assert done.exit_code == 0, done.output
    assert "built 2 targets" in done.output
    assert "responses/contrast/rcnn_gratings: contrast=0.3" in done.output
    assert inodes(chain, "0.1", "0.5", "0.8", "1.0") == before
    summary = records(chain)[Target(("summary", "contrast", "rcnn_gratings"))]
    assert [row["contrast"] for row in summary.details["tuning"]] == [0.1, 0.3, 0.5, 0.8, 1.0]
    with open_instance(chain) as instance:
        (event,) = materializations(instance, chain, level)[:1]
    assert event.tags["dagster/data_version"] == records(chain)[level].data_version


def test_a_file_that_is_gone_counts_as_missing_although_dagster_remembers_it(chain: Path) -> None:
    target = Target(CONTRAST, "contrast=0.5")
    store(chain, "0.5").rename(chain / "elsewhere")
    with open_instance(chain) as instance:
        assert materializations(instance, chain, target)
    assert states(chain)[str(target)] == "missing"
    assert states(chain)["summary/contrast/rcnn_gratings"] == "stale"
