"""Arguments of classes and names of swept parameters: what a record and the results can keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynvision.config import load_config
from dynvision.errors import ConfigError, DynvisionError
from dynvision.experiments.reading import open_store
from dynvision.experiments.reducing import TRAILING, check_layer_names
from dynvision.experiments.stores.layout import REFERENCES
from dynvision.reserved_names import RESERVED_PARAMETERS, STORE_NAMES
from dynvision.stimuli.names import presentation_arguments
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from tests.helpers.chains import Chain
from tests.helpers.configuration import edit_yaml, set_at

NETWORK = """\
from torch import nn

class Wide(nn.Module):
    def __init__(self, widths, n_classes, resolution, channels_in, names=None):
        super().__init__()
        assert widths == {1: 8, 10: 4}, widths
        assert names == {"1": "a"}, names
        self.readout = nn.Linear(channels_in * resolution**2, n_classes)

    def forward(self, image):
        return self.readout(image.flatten(1))
"""


def sweep(small_config: Path, name: str, program: Any = None, **more: Any) -> None:
    """Sweep a placeholder of this name."""
    args = {"tsteps": 20, "program": program or [{"image": 2}, {"void": f"${name}"}], name: [1, 2], **more}
    experiment = {"parameter": name, "data_loader": "StimulusProgram", "data_args": args}
    edit_yaml(small_config / "config_experiments.yaml", set_at("experiment_config.contrast", experiment))


def test_whole_number_keys_reach_the_class_and_are_fresh(small_config: Path, tmp_path: Path) -> None:
    (tmp_path / "own_wide_network.py").write_text(NETWORK)
    model = {
        "class": "own_wide_network:Wide",
        "args": {"widths": {1: 8, 10: 4}, "names": {"1": "a"}},
        "training": None,
    }
    edit_yaml(small_config / "config_models.yaml", set_at("models.rcnn", model))
    workspace = Workspace.open(tmp_path, small_config)
    for target in ("raw/gratings:test", "interim/gratings:test_all", "models/rcnn/gratings:all_s0"):
        build_targets([target], root=str(tmp_path), config=workspace.snapshot)
    (target,) = [t for t in workspace.targets(("models", "rcnn", "gratings")) if t.partition == "all_s0"]
    assert workspace.status(target).state == "fresh"
    record = workspace.read_record(target)
    assert record is not None
    assert record.has_content(workspace.stage(target).read_back(target, record).content)
    workspace.stage(target).load([target])  # the class asserts what it is given

    model["args"]["names"] = {1: "a"}
    edit_yaml(small_config / "config_models.yaml", set_at("models.rcnn", model))
    assert Workspace.open(tmp_path, small_config).status(target).state == "stale"


def test_a_number_that_is_written_otherwise_makes_nothing_stale(chain_copy: Chain) -> None:
    def respell(content: dict[str, Any]) -> None:
        args = content["models"]["rcnn"]["args"]
        assert isinstance(args["tau"], float)
        args["tau"] = int(args["tau"])

    edit_yaml(chain_copy.config / "config_models.yaml", respell)
    workspace = chain_copy.open()
    (summary,) = workspace.targets(("summary", "contrast", "rcnn_gratings"))
    assert workspace.status(summary).state == "fresh"
    edit_yaml(chain_copy.config / "config_models.yaml", set_at("models.rcnn.args.tau", 11))
    assert chain_copy.open().status(summary).state == "stale"


@pytest.mark.parametrize(
    ("file", "keys", "value", "where"),
    [
        (
            "data",
            "data_sources",
            {"own": {"class": "a:B", "args": {"x": {1: 4, "b": 5}}}},
            "data_sources.own.args: 'x' has keys of several",
        ),
        ("models", "models.rcnn.args.channels", {1.5: 4}, "models.rcnn.args: channels: the key 1.5 is no text"),
        (
            "data",
            "data_sources",
            {"own": {"class": "a:B", "args": {"x": {True: 1}}}},
            "data_sources.own.args: x: the key True is no text",
        ),
        (
            "data",
            "data_sources",
            {"own": {"class": "a:B", "split_args": {"train": {"p": {None: 1}}, "test": {"p": 1}}}},
            "data_sources.own.split_args.train: p: the key None is no text",
        ),
    ],
)
def test_keys_that_json_does_not_keep_are_refused(
    small_config: Path, file: str, keys: str, value: Any, where: str
) -> None:
    edit_yaml(small_config / "config_data.yaml", set_at("data_resolution.own", 32))
    edit_yaml(small_config / f"config_{file}.yaml", set_at(keys, value))
    with pytest.raises(ConfigError) as caught:
        load_config(small_config)
    assert f"config_{file}.yaml: {where}" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("models", "args:", "args: &a\n      itself: *a"),
        ("experiments", "gap: 1", "program: &p\n      - repeat: 2\n        program: *p\n      gap: 1"),
    ],
)
def test_what_contains_itself_is_one_sentence(small_config: Path, file: str, old: str, new: str) -> None:
    if file == "experiments":
        args = {"tsteps": 9, "gap": 1, "x": [1, 2]}
        experiment = {"parameter": "x", "data_loader": "StimulusProgram", "data_args": args}
        edit_yaml(small_config / "config_experiments.yaml", set_at("experiment_config.contrast", experiment))
    path = small_config / f"config_{file}.yaml"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match="stands for something that holds it; write it out"):
        load_config(small_config)


@pytest.mark.parametrize("name", ["sample", "time", "mean", "unit", "accuracy", "layer", "levels", "seed", "root"])
def test_a_parameter_named_like_a_part_of_the_results_is_refused(small_config: Path, name: str) -> None:
    sweep(small_config, name)
    with pytest.raises(ConfigError, match=f"experiment_config.contrast.parameter: '{name}' is the name of a dimension"):
        load_config(small_config)


@pytest.mark.parametrize("name", ["n", "sem", "column"])
def test_a_parameter_named_like_a_column_of_groups_is_refused_if_there_are_groups(
    small_config: Path, name: str
) -> None:
    sweep(small_config, name)
    load_config(small_config)
    edit_yaml(small_config / "config_experiments.yaml", set_at("experiment_config.contrast.group_by", "label"))
    with pytest.raises(ConfigError, match=f"experiment_config.contrast.parameter: '{name}' is the name of a dimension"):
        load_config(small_config)


def test_a_column_to_group_by_may_be_named_as_the_table_names_it(small_config: Path) -> None:
    edit_yaml(small_config / "config_experiments.yaml", set_at("experiment_config.contrast.group_by", "taken on"))
    assert load_config(small_config).experiments["contrast"].group_by == "taken_on"


def test_no_setting_of_a_presentation_is_refused() -> None:
    assert RESERVED_PARAMETERS.isdisjoint(presentation_arguments())


def test_every_name_in_results_is_reserved(chain: Chain) -> None:
    """The sets are written by hand. This reads what is really written."""
    workspace = chain.open()
    key = ("responses", "contrast", "rcnn_gratings")
    tree = open_store(workspace.stages["responses"].output(workspace.targets(key)[0]))
    # The variables of reference runs have the names of layers, which no parameter may have either.
    nodes = [node for node in tree.subtree if node.name not in REFERENCES]
    written = {str(name) for node in nodes for name in (*node.dims, *node.variables)}
    written |= {name for names in TRAILING.values() for name in names}
    (summary,) = workspace.targets(("summary", "contrast", "rcnn_gratings"))
    for table in ("table", "tuning", "fits", "time_courses"):
        columns = workspace.stage(summary).load([summary], table=table).columns
        written |= {str(column) for column in columns if "/" not in column}
    assert written - {"contrast"} <= RESERVED_PARAMETERS
    assert STORE_NAMES <= RESERVED_PARAMETERS


@pytest.mark.parametrize("names", [["contrast", "stimulus_contrast"], ["stim", "duration"]])
def test_two_names_of_one_setting_are_not_swept_together(small_config: Path, names: list[str]) -> None:
    change = {"parameter": names, "data_args": {"tsteps": 9, "intro": 1, names[0]: [0.5, 1.0]}}
    if names[0] == "stim":
        change["data_args"] = {"tsteps": 9, "intro": 1, "stim": [1, 2]}
    else:
        change["data_args"]["stim"] = 2  # type: ignore[call-overload, index]
    edit_yaml(
        small_config / "config_experiments.yaml",
        lambda content: content["experiment_config"]["contrast"].update(change),
    )
    with pytest.raises(ConfigError, match="are two names of one setting"):
        load_config(small_config)


@pytest.mark.parametrize("name", ["tsteps", "sensor_noise", "dt", "void_value"])
def test_a_placeholder_is_no_setting_of_programs(small_config: Path, name: str) -> None:
    sweep(small_config, "gap", program=[{"image": f"${name}"}, {"void": "$gap"}], **{name: 3})
    with pytest.raises(ConfigError, match=rf"the placeholder '\${name}' has the name of a setting"):
        load_config(small_config)


def test_layers_that_a_store_cannot_keep_apart_are_refused() -> None:
    check_layer_names(["V1", "output", "block/conv"], ["contrast"])
    with pytest.raises(ConfigError, match="'a/b' and 'a_b' would both be stored as 'a_b'"):
        check_layer_names(["a/b", "a_b"], [])
    with pytest.raises(ConfigError, match="'gap' is also the name of a swept parameter"):
        check_layer_names(["V1", "gap"], ["gap"])


def test_the_dataset_whose_subjects_are_compared_exists(small_config: Path) -> None:
    path = small_config / "config_experiments.yaml"
    edit_yaml(path, set_at("experiment_config.contrast.compare_on", "grating"))
    with pytest.raises(DynvisionError, match=r"experiment_config\.contrast\.compare_on.*Did you mean 'gratings'"):
        load_config(small_config)
    edit_yaml(path, set_at("experiment_config.contrast.compare_on", "mnist"))
    config = load_config(small_config)
    assert config.compared_in("contrast") == config.subjects_of("contrast")
