"""Valid configurations mutated at random: each is refused with an error of the project's own, or it works.

`python -m tests.helpers.fuzz_config --examples 5000 --seed 1` tries many, and prints how many of them worked.
"""

from __future__ import annotations

import argparse
import collections
import copy
import functools
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import yaml
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

from dynvision.config import load_config
from dynvision.errors import DynvisionError
from dynvision.paths import Paths
from dynvision.roots import COMPUTE_FILE
from dynvision.workspace import Workspace
from tests.helpers.configuration import CONFIG, PROJECT_CONFIG, _small_config
from tests.helpers.junk_values import FLOATS, KEYS, NUMBERS, TEXTS, TOKENS

FILES = ("config_data.yaml", "config_models.yaml", "config_experiments.yaml")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

scalars = st.one_of(
    st.sampled_from(NUMBERS), st.sampled_from(FLOATS), st.sampled_from(TEXTS), st.booleans(), st.none(), st.integers(),
    st.floats(), st.text(max_size=6),
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS[:-11]), inner, max_size=3)
)
Texts = dict[str, str]

OTHERS: Texts = {
    "config_data.yaml": """
data_resolution: {gratings: 16}
data_statistics: {gratings: {mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}}
stimulus_sets:
  scenes: {folder: photos, table: photos/stimuli.csv, resolution: 16, label: {column: category, by: name}}
  clips: {folder: clips, frames: folders, resolution: 16}
  noise: {images: noise.npy, table: noise.csv, resolution: 16}
data_groups:
  scenes: {faces: {where: {category: faces}}, late: {where: {category: [faces, houses], session: 2}}}
""",
    "config_models.yaml": """
models:
  rcnn: {class: "dynvision.models:RCNN"}
  res:
    class: "torchvision.models:resnet18"
    training: null
    checkpoint: "weights/{dataset}.pt"
    checkpoint_key: state_dict
    classes: imagenet
    statistics: {mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}
    record: {layers: ["layer*", "layer4.1.relu#2"], resolution: layer}
  spiking: {class: "own:Net", training: null, time_axis: 0, class_order: imagefolder, statistics: imagenet}
""",
    "config_experiments.yaml": """
subjects:
  res_scenes: {model: res, dataset: scenes, group: faces, standardize: network, match: name}
  rcnn_scenes: {model: rcnn, dataset: scenes, trained_on: gratings/all, only_named: true}
experiment_config:
  duration:
    parameter: duration
    data_loader: StimulusDuration
    data_args: {tsteps: 12, intro: 2, stim: [1, 3, 8]}
    group_by: category
    compare_on: scenes
""",
    "config_compute.yaml": """
engine: slurm
address: "tls://10.0.0.1:8786"
defaults: {account: abc, partition: short, cpus: 8, memory: 16G, time: 30m}
stages:
  models: {gpus: 1, memory: [40G, 80G], time: "1-12:00:00", extra: [[--qos=long], [--qos=longer, --nice]]}
  summary: here
targets: {"models/rcnn/gratings*": {time: 48h}, "responses/*": here}
max_jobs: 20
workers: 4
gpus: [0, 1]
gpu_flag: "--gres=gpu:{gpus}"
interface: ib0
extra: ["--qos=normal"]
before: ["module load cuda"]
""",
}
"""A configuration of stimulus sets and of networks that were made elsewhere, which is computed on a cluster."""


@functools.cache
def bases() -> tuple[Texts, ...]:
    """Return the valid configurations that are mutated."""
    shipped = {name: (PROJECT_CONFIG / name).read_text() for name in FILES}
    return (CONFIG, dict(_small_config(with_normalizing=False)), shipped, OTHERS)


def _places(content: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the path of keys to every value of a tree."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    found = [] if not before else [before]
    for key, value in items:
        found += _places(value, (*before, key))
    return found


def _at(content: Any, path: tuple[Any, ...]) -> Any:
    return functools.reduce(lambda value, key: value[key], path, content)


def _change_value(draw: Any, contents: dict[str, Any]) -> None:
    """Change one value or key of the three trees."""
    name = draw(st.sampled_from(sorted(contents)))
    places = _places(contents[name])
    if not places:
        return
    path = draw(st.sampled_from(places))
    parent, key = _at(contents[name], path[:-1]), path[-1]
    action = draw(
        st.sampled_from(("value", "value", "value", "number", "remove", "rename", "add", "swap", "wrap", "copy"))
    )
    if action == "value":
        parent[key] = draw(values)
    elif action == "number":
        parent[key] = draw(st.sampled_from(NUMBERS + FLOATS))
    elif action == "remove":
        del parent[key]
    elif action == "swap":
        other = draw(st.sampled_from(sorted(contents)))
        if sources := _places(contents[other]):
            parent[key] = copy.deepcopy(_at(contents[other], draw(st.sampled_from(sources))))
    elif action == "wrap":
        parent[key] = draw(st.sampled_from(([parent[key]], {"a": parent[key]}, [parent[key]] * 2)))
    elif isinstance(parent, list):
        parent.append(draw(values))
    elif action == "rename":
        parent[draw(st.sampled_from(KEYS))] = parent.pop(key)
    elif action == "copy":
        parent[draw(st.sampled_from(KEYS))] = copy.deepcopy(parent[key])
    else:
        parent[draw(st.sampled_from(KEYS))] = draw(values)


def _change_text(draw: Any, text: str) -> str:
    """Change the text of a file at one place."""
    lines = text.split("\n")
    number = draw(st.integers(0, len(lines) - 1))
    line = lines[number]
    action = draw(st.sampled_from(("insert", "replace", "cut", "twice", "drop", "indent", "value")))
    column = draw(st.integers(0, len(line)))
    token = draw(st.one_of(st.sampled_from(TOKENS), st.text(max_size=3)))
    if action == "insert":
        lines[number] = line[:column] + token + line[column:]
    elif action == "replace":
        lines[number] = line[:column] + token + line[column + 1 :]
    elif action == "cut":
        lines[number] = line[:column]
    elif action == "twice":
        lines.insert(number, line)
    elif action == "drop":
        del lines[number]
    elif action == "indent":
        lines[number] = " " * draw(st.integers(1, 3)) + line
    else:
        lines[number] = re.sub(r":.*", lambda _: f": {token}", line, count=1)
    return "\n".join(lines)


def _change_bytes(draw: Any, content: bytes) -> bytes:
    """Change the bytes of a file: another encoding, a part of it, or bytes that are no text."""
    action = draw(st.sampled_from(("utf-16", "utf-16-le", "utf-32", "bom", "truncate", "bytes", "empty")))
    place = draw(st.integers(0, len(content)))
    if action.startswith("utf"):
        return content.decode("utf-8", "replace").encode(action)
    if action == "bom":
        return b"\xef\xbb\xbf" + content
    if action == "truncate":
        return content[:place]
    return content[:place] + draw(st.binary(max_size=4)) + content[place:] if action == "bytes" else b""


@st.composite
def configurations(draw: Any) -> dict[str, bytes]:
    """Draw the files of a configuration that was valid before it was changed at one to three places."""
    base = bases()[draw(st.integers(0, len(bases()) - 1))]
    level = draw(st.sampled_from(("value", "value", "value", "text", "bytes")))
    if level == "value":
        contents = {name: yaml.load(text, _LOADER) for name, text in base.items()}
        for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
            _change_value(draw, contents)
        texts = {
            name: yaml.dump(content, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)
            for name, content in contents.items()
        }
        return {name: text.encode("utf-8", "surrogatepass") for name, text in texts.items()}
    files = {name: text.encode() for name, text in base.items()}
    name = draw(st.sampled_from(sorted(base)))
    if level == "text":
        text = base[name]
        for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
            text = _change_text(draw, text)
        return files | {name: text.encode("utf-8", "surrogatepass")}
    return files | {name: _change_bytes(draw, files[name])}


def try_configuration(folder: Path, files: dict[str, bytes], with_dagster: bool = False) -> str:
    """Write a configuration and read it. If it is valid, ask every stage for everything that the graph is made of.

    Returns:
        `refused` if an error of the project's own says what is wrong, otherwise `works`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / COMPUTE_FILE).unlink(missing_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        workspace = Workspace(load_config(folder), Paths(folder.parent))
    except DynvisionError as error:
        message = str(error)
        assert str(folder) in message, f"no file is named: {message}"
        assert len(message) < 20_000
        assert all(line.isprintable() for line in message.split("\n")), ascii(message)
        return "refused"
    for key in workspace.keys[:200]:
        _ask_stage(workspace, key)
    if with_dagster:
        _load_definitions(workspace)
    return "works"


def _ask_stage(workspace: Workspace, key: tuple[str, ...]) -> None:
    stage = workspace.stages[key[0]]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,63}", tag) for tag in stage.tags(key).values()), stage.tags(key)
    compute = workspace.config.compute
    compute.engine_settings(workspace.paths.root)
    stage.describe(key)
    stage.dimensions(key)
    targets = workspace.targets(key)
    assert len(set(targets)) == len(targets)
    for target in targets[:20]:
        assert compute.attempts(target)
        assert compute.runs_here(target) in (True, False)
        assert all(len(part.encode()) <= 220 for part in stage.output(target).parts)
        if target.partition is not None:
            assert stage.partition_at(key, stage.levels(target)) == target.partition
        workspace.upstream(target)
        try:
            stage.settings(target)
        except DynvisionError:
            continue  # A class or a file that only this target needs is not there.


def _load_definitions(workspace: Workspace) -> None:
    import dagster as dg

    from dynvision_assets.definitions import make_definitions

    dg.Definitions.validate_loadable(make_definitions(workspace))


def fuzz(examples: int, seed: int, every: int = 50) -> collections.Counter[str]:
    """Try many configurations.

    Args:
        examples: How many.
        seed: The seed from which they are drawn.
        every: One of so many valid ones is also loaded by Dagster.

    Returns:
        How many were refused, and how many worked.
    """
    outcomes: collections.Counter[str] = collections.Counter()
    root = Path(tempfile.mkdtemp(prefix="dynvision-fuzz-"))

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(configurations())
    def one(files: dict[str, bytes]) -> None:
        outcomes[try_configuration(root / "config", files, outcomes["works"] % every == every - 1)] += 1

    try:
        one()
    finally:
        shutil.rmtree(root)
    return outcomes


def main() -> None:
    """Read the number of examples and the seed, and print the outcome."""
    parser = argparse.ArgumentParser(description="Try mutated configurations: each is refused in a sentence, or works.")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    outcomes = fuzz(chosen.examples, chosen.seed)
    print(f"seed {chosen.seed}: {dict(outcomes)} of {outcomes.total()} configurations")


if __name__ == "__main__":
    main()
