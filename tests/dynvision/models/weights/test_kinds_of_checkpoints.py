"""Kinds of files in which networks are passed on: those that are read, and those that are refused in one sentence."""

from __future__ import annotations

import argparse
import collections
import copy
import enum
import io
import pickle
import types
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dynvision.errors import ConfigError, DamagedFileError, DynvisionError, UnknownNameError
from dynvision.models.checkpoint import load_checkpoint


def make_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(
        collections.OrderedDict(
            conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4), flat=nn.Flatten(), head=nn.Sequential(nn.Linear(4, 2))
        )
    )
    network.norm.running_mean.uniform_()
    return network


TRAINED = make_network(seed=1)
WEIGHTS = TRAINED.state_dict()


def prefixed(prefix: str, weights: dict[str, Any] = WEIGHTS) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in weights.items()}


def cast(dtype: torch.dtype) -> dict[str, Any]:
    return {n: value.to(dtype) if value.is_floating_point() else value for n, value in WEIGHTS.items()}


def averaged() -> dict[str, Any]:
    return AveragedModel(TRAINED).state_dict()


OTHERS = {n: value + 1 for n, value in WEIGHTS.items()}
OPTIMIZER = torch.optim.AdamW(TRAINED.parameters()).state_dict()


class Mood(enum.Enum):
    """A class that only the file's author has."""

    GOOD = 1


class Settings(dict):
    """A mapping that only the file's author has, as Lightning's `AttributeDict`."""


class Values(list):
    """A list that only the file's author has."""


class StateDict(collections.OrderedDict):
    """A state dict that only the file's author has."""


READ: dict[str, Any] = {
    "plain": WEIGHTS,
    "ordered": collections.OrderedDict(WEIGHTS),
    "parameters": dict(TRAINED.named_parameters()) | dict(TRAINED.named_buffers()),
    "module.": prefixed("module."),
    "model.": prefixed("model."),
    "_orig_mod.": prefixed("_orig_mod."),
    "_orig_mod.module.": prefixed("_orig_mod.module."),
    "module._orig_mod.": prefixed("module._orig_mod."),
    "model._orig_mod.": prefixed("model._orig_mod."),
    "model.model.": prefixed("model.model."),
    "module.module.": prefixed("module.module."),
    "net.encoder.": prefixed("net.encoder."),
    "a compiled part": {n.replace("conv.", "conv._orig_mod."): value for n, value in WEIGHTS.items()},
    "a parallel part": {n.replace("head.", "head.module."): value for n, value in WEIGHTS.items()},
    "fully sharded": {n.replace("conv.", "conv._fsdp_wrapped_module."): v for n, v in WEIGHTS.items()},
    "averaged": averaged(),
    "averaged under a key": {"model_averaged": averaged(), "epoch": 7},
    "state_dict": {"state_dict": WEIGHTS},
    "model_state_dict": {"model_state_dict": WEIGHTS, "optimizer_state_dict": OPTIMIZER, "loss": torch.tensor(0.3)},
    "model": {"model": WEIGHTS, "optimizer": OPTIMIZER, "epoch": 3, "best": torch.tensor(0.9)},
    "weights": {"weights": prefixed("module."), "classes": ["cat", "dog"]},
    "an unusual key": {"what_i_trained": WEIGHTS},
    "three keys deep": {"checkpoint": {"nets": {"student": prefixed("module.")}}},
    "a pair": (WEIGHTS, 12),
    "lightning": {
        "state_dict": prefixed("model.") | {"criterion.weight": torch.ones(2), "val_acc.total": torch.tensor(3)},
        "hyper_parameters": Settings(lr=0.1, mood=Mood.GOOD),
        "optimizer_states": [OPTIMIZER],
        "pytorch-lightning_version": "2.1.0",
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.9)}},
    },
    "a criterion beside": prefixed("net.") | {"criterion.weight": torch.ones(2)},
    "a criterion beside, without a prefix": WEIGHTS | {"criterion.weight": torch.ones(2)},
    "an average of another network beside": prefixed("model.") | {"ema_model.conv.weight": torch.ones(1, 3, 3, 3)},
    "the same twice": {"model": WEIGHTS, "ema": copy.deepcopy(WEIGHTS)},
    "a step counter beside": WEIGHTS | {"n_averaged": torch.tensor(3)},
    "another network beside": prefixed("student.") | {"teacher.conv.weight": torch.ones(9, 3, 5, 5)},
    "without the counters of batches": {n: v for n, v in WEIGHTS.items() if "num_batches" not in n},
    "with more counters": WEIGHTS | {"head.0.num_batches_tracked": torch.tensor(1), "conv.total_ops": torch.zeros(1)},
    "parts under keys": {
        part: {n.removeprefix(f"{part}."): v for n, v in WEIGHTS.items() if n.startswith(part)}
        for part in ("conv", "norm", "head")
    },
    "settings of argparse": {"net": WEIGHTS, "args": argparse.Namespace(lr=0.1, folder=PurePosixPath("/data"))},
    "numbers of numpy": {"net": WEIGHTS, "accuracy": np.float64(0.9), "epochs": np.int64(3), "curve": np.arange(3.0)},
    "the author's own classes": {
        "net": StateDict(WEIGHTS),
        "settings": Settings(values=Values([1, 2]), mood=Mood.GOOD, more=types.SimpleNamespace(x=1)),
        "counts": collections.defaultdict(list, {"a": [1]}),
        "when": torch.__version__,
    },
}
"""What `torch.save` was given. Each holds the same weights once."""


def assert_same(network: nn.Module, expected: dict[str, Any] = WEIGHTS) -> None:
    for name, value in network.state_dict().items():
        if "num_batches" not in name:
            assert torch.equal(value, expected[name].to(value.dtype)), name


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("is_zip", [True, False], ids=["new", "old"])
def test_weights_are_found_wherever_they_are_in_a_file(tmp_path, kind, is_zip):
    torch.save(READ[kind], tmp_path / "w.pt", _use_new_zipfile_serialization=is_zip)
    network = make_network()
    load_checkpoint(tmp_path / "w.pt", network)
    assert_same(network)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("own", [torch.float32, torch.float16, torch.bfloat16])
def test_numbers_become_those_of_the_network(tmp_path, dtype, own):
    save_file(cast(dtype), tmp_path / "w.safetensors")
    network = make_network().to(own)
    load_checkpoint(tmp_path / "w.safetensors", network)
    assert_same(network, cast(dtype))
    assert network.conv.weight.dtype == own


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("pytorch_model.bin", save_file),
        ("w.pt", save_file),
        ("w", save_file),
        ("w.safetensors", torch.save),
        ("w.safetensors.pth.tar", torch.save),
    ],
)
def test_a_format_is_found_by_content(tmp_path, name, save):
    save(dict(WEIGHTS), tmp_path / name)
    network = make_network()
    load_checkpoint(tmp_path / name, network)
    assert_same(network)


class Tied(nn.Module):
    """A network in which two layers share a matrix."""

    def __init__(self, fill: float) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 3), nn.Linear(3, 3)
        self.outer.weight = self.inner.weight
        nn.init.constant_(self.inner.weight, fill)


def test_a_tensor_with_two_names_is_needed_once(tmp_path):
    save_model(Tied(2.0), tmp_path / "w.safetensors")
    for dropped in ("inner.weight", "outer.weight"):
        weights = {n: v for n, v in Tied(2.0).state_dict().items() if n != dropped}
        torch.save({"model": prefixed("module.", weights)}, tmp_path / f"{dropped}.pt")
    for path in sorted(tmp_path.iterdir()):
        network = Tied(0.0)
        load_checkpoint(path, network)
        assert (network.outer.weight == 2).all(), path
        assert network.outer.weight is network.inner.weight


def test_a_tensor_that_was_shared_fills_both_of_two(tmp_path):
    save_model(Tied(2.0), tmp_path / "w.safetensors")
    network = nn.ModuleDict({"inner": nn.Linear(3, 3), "outer": nn.Linear(3, 3)})
    load_checkpoint(tmp_path / "w.safetensors", network)
    assert (network["inner"].weight == 2).all()
    assert (network["outer"].weight == 2).all()


def test_two_matrices_are_none_that_is_shared(tmp_path):
    weights = Tied(2.0).state_dict()
    torch.save({**weights, "outer.weight": weights["outer.weight"] + 1}, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"is one tensor with .* in the network, but not in the file"):
        load_checkpoint(tmp_path / "w.pt", Tied(0.0))


class Masked(nn.Module):
    """A network with a buffer that is not saved, and one that is infinite on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("positions", torch.arange(4), persistent=False)
        self.register_buffer("mask", torch.full((2, 2), -torch.inf).triu(1))


def test_buffers_that_are_not_saved_may_be_in_the_file(tmp_path):
    torch.save({**Masked().state_dict(), "positions": torch.arange(9)}, tmp_path / "w.pt")
    load_checkpoint(tmp_path / "w.pt", Masked())


@pytest.mark.parametrize("wrap", [nn.DataParallel, AveragedModel, lambda net: nn.ModuleDict({"net": net})])
def test_the_network_may_be_wrapped_itself(tmp_path, wrap):
    torch.save(WEIGHTS, tmp_path / "w.pt")
    network = make_network()
    wrapped = wrap(network)
    if isinstance(wrapped, AveragedModel):
        network = wrapped.module
        del wrapped.n_averaged
    load_checkpoint(tmp_path / "w.pt", wrapped)
    assert_same(network)


def test_a_network_reads_older_names_of_its_own(tmp_path):
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)))
    old = {"0.bias": torch.ones(2), "0.weight_g": torch.ones(2, 1), "0.weight_v": torch.eye(2)}
    torch.save({"state_dict": prefixed("module.", old)}, tmp_path / "w.pt")
    load_checkpoint(tmp_path / "w.pt", network)
    assert torch.equal(network[0].weight, torch.eye(2))


class Versioned(nn.Linear):
    """A layer that must know of which version its weights are, as torchvision's MNASNet."""

    _version = 2

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *others: Any) -> None:
        if local_metadata.get("version") != 2:
            raise ValueError("of which version?")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)


def test_weights_that_fit_are_those_of_the_network_as_it_is_today(tmp_path):
    torch.save({"net": dict(nn.Linear(2, 2).state_dict())}, tmp_path / "w.pt")
    load_checkpoint(tmp_path / "w.pt", Versioned(2, 2))


class Stubborn(nn.Linear):
    """A layer whose own code refuses weights."""

    def load_state_dict(self, *arguments: Any, **named: Any) -> Any:
        raise RuntimeError("not today")


def test_a_network_that_refuses_its_weights_is_named(tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"Stubborn does not take the weights in .* names and shapes fit \(not today"):
        load_checkpoint(tmp_path / "w.pt", Stubborn(2, 2))


def test_lazy_layers_take_the_shape_in_the_file(tmp_path):
    torch.save({"net": nn.Linear(3, 2).state_dict()}, tmp_path / "w.pt")
    network = nn.LazyLinear(2)
    load_checkpoint(tmp_path / "w.pt", network)
    assert network.weight.shape == (2, 3)


AMBIGUOUS: dict[str, tuple[Any, str]] = {
    "an average beside": (prefixed("model.") | prefixed("ema_model.module.", OTHERS), "ema_model"),
    "an average, and no prefix": (WEIGHTS | prefixed("ema_model.", OTHERS), "ema_model"),
    "two keys": ({"model": WEIGHTS, "model_ema": OTHERS}, "model_ema"),
    "a teacher": ({"state_dict": prefixed("student.") | prefixed("teacher.", OTHERS)}, "state_dict.teacher"),
    "several networks": ([WEIGHTS, OTHERS], "1"),
}

MANY = {f"fold{n}": {name: value + n for name, value in WEIGHTS.items()} for n in range(9)}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_of_several_weights_none_is_chosen_silently(tmp_path, kind):
    content, key = AMBIGUOUS[kind]
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="several sets of weights that fit, and they differ") as error:
        load_checkpoint(tmp_path / "w.pt", make_network())
    assert "'checkpoint_key'" in str(error.value)
    assert f"'{key}" in str(error.value)
    network = make_network()
    load_checkpoint(tmp_path / "w.pt", network, key)
    assert_same(network, OTHERS)


def test_of_many_weights_the_first_are_listed(tmp_path):
    torch.save(MANY, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"'fold0', 'fold1', 'fold2', 'fold3', 'fold4' and 4 more\.$"):
        load_checkpoint(tmp_path / "w.pt", make_network())


def test_an_empty_key_means_names_as_they_stand(tmp_path):
    torch.save(AMBIGUOUS["an average, and no prefix"][0], tmp_path / "w.pt")
    network = make_network()
    load_checkpoint(tmp_path / "w.pt", network, "")
    assert_same(network)


def test_an_unknown_key_names_the_nearest(tmp_path):
    torch.save({"model": WEIGHTS, "model_ema": OTHERS}, tmp_path / "w.pt")
    with pytest.raises(UnknownNameError, match=r"unknown checkpoint_key 'model_emma'\. Did you mean 'model_ema'"):
        load_checkpoint(tmp_path / "w.pt", make_network(), "model_emma")


def changed(**changes: Any) -> dict[str, Any]:
    """The weights with some of them replaced; `None` removes one, and `__` stands for a dot."""
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return {n: v for n, v in {**WEIGHTS, **named}.items() if v is not None}


MISFITS: dict[str, tuple[Any, str]] = {
    "missing": (changed(conv__bias=None), r"missing: conv\.bias[.;]"),
    "renamed": (
        {n.replace("head", "heads"): v for n, v in WEIGHTS.items()},
        r"missing: head\.0\.weight \(nearest: heads\.0\.weight\), .*; unexpected: heads\.0\.weight \[2, 4\], ",
    ),
    "deeper": (WEIGHTS | {"head.2.weight": torch.ones(2)}, r"7 of 9|unexpected: head\.2\.weight \[2\]"),
    "an unknown module": (WEIGHTS | {"decoder.weight": torch.ones(2)}, r"unexpected: decoder\.weight \[2\]"),
    "other classes": (
        prefixed("module.", changed(head__0__weight=torch.ones(5, 4), head__0__bias=torch.ones(5))),
        r"read under 'module'; of another shape or type: head\.0\.weight is \[5, 4\], the network has \[2, 4\], ",
    ),
    "a number for a vector": (changed(conv__bias=torch.tensor(1.0)), r"conv\.bias is \[\], the network has \[4\]"),
    "whole numbers": (changed(conv__bias=torch.ones(4).int()), r"conv\.bias is int32, the network has float32"),
    "truth values": (changed(conv__bias=torch.ones(4).bool()), r"conv\.bias is bool, the network has float32"),
    "complex": (changed(conv__bias=torch.ones(4).cfloat()), r"conv\.bias is complex64, the network has float32"),
    "sparse": (changed(conv__bias=torch.ones(4).to_sparse()), r"conv\.bias is sparse in the file"),
    "another network": (
        {"net": prefixed("module.", nn.LSTM(2, 40).state_dict()), "lr": torch.ones(1)},
        r"0 of 9 fit if the names are read under 'net\.module'; missing: conv\.weight, .* and 3 more; unexpected: "
        r"weight_ih_l0 \[160, 2\], ",
    ),
}


def test_what_does_not_fit_is_named_next_to_settings(tmp_path):
    torch.save({"model": argparse.Namespace(depth=3), "weights": changed(conv__bias=None)}, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"missing: conv\.bias"):
        load_checkpoint(tmp_path / "w.pt", make_network())


@pytest.mark.parametrize("kind", MISFITS)
def test_what_does_not_fit_is_named(tmp_path, kind):
    content, message = MISFITS[kind]
    torch.save(content, tmp_path / "w.pt")
    network = make_network()
    with pytest.raises(ConfigError, match=message) as error:
        load_checkpoint(tmp_path / "w.pt", network)
    assert "are not those of Sequential: " in str(error.value)
    assert str(error.value).endswith("Change 'class' and 'args', or 'checkpoint', in config_models.yaml.")
    assert_same(network, make_network().state_dict())


@pytest.mark.parametrize("name", ["conv.weight", "norm.running_var"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300])
def test_weights_that_are_no_numbers_are_refused(tmp_path, name, number):
    torch.save({**WEIGHTS, name: torch.full(WEIGHTS[name].shape, number, dtype=torch.float64)}, tmp_path / "w.pt")
    network = make_network()
    with pytest.raises(ConfigError, match=rf"no finite numbers \(NaN or infinite\): {name}\. Name another file"):
        load_checkpoint(tmp_path / "w.pt", network)
    assert_same(network, make_network().state_dict())


def test_a_network_without_weights_takes_no_checkpoint(tmp_path):
    torch.save(WEIGHTS, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"Flatten has no weights.*remove 'checkpoint'"):
        load_checkpoint(tmp_path / "w.pt", nn.Flatten())


def npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, weight=np.ones(2))


def zipped(*names: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "x")

    return write


def saved(content: Any, **options: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(content, path, **options)


def written(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None  # type: ignore[func-returns-value]


def truncated(save: Callable[[Any, Any], None]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        save(dict(WEIGHTS), path)
        path.write_bytes(path.read_bytes()[:-100])

    return write


class Evil:
    """Code in a pickle."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('code of the file was run')",)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a network as code": (
        saved(TRAINED),
        r"but it is a torch\.nn\.modules\.container\.Sequential as code, and it is not",
    ),
    "a network as code under a key": (
        saved({"model": TRAINED, "optimizer": OPTIMIZER}),
        r"but 'model' in it is a torch\.nn\.modules\.container\.Sequential as code",
    ),
    "a network as code, old": (saved(TRAINED, _use_new_zipfile_serialization=False), "holds more than tensors"),
    "code": (saved({"model": Evil()}), "holds no state dict"),
    "code of the system": (saved({"model": io.open_code}), "holds no state dict"),
    "an optimizer without state": (saved({"optimizer": {"lr": 0.1}}), "holds no state dict"),
    "a number": (saved(torch.tensor(1.0)), "holds no state dict"),
    "TorchScript": (zipped("w/constants.pkl", "w/data.pkl"), "is a TorchScript archive"),
    "a plain pickle": (written(pickle.dumps({"w": np.ones(2)})), "is written with another pickle protocol"),
    "pickle protocol 5": (saved(WEIGHTS, pickle_protocol=5), "is written with another pickle protocol"),
    "HDF5": (written(b"\x89HDF\r\n\x1a\n" + bytes(900)), "is an HDF5 file"),
    "npz": (npz, r"is an archive of NumPy arrays \(npz\)"),
    "npy": (lambda path: np.save(path.open("wb"), np.ones(2)), "is an array of NumPy"),
    "a zip archive": (zipped("w.txt"), "is a zip archive of other files"),
    "gzip": (written(b"\x1f\x8b" + bytes(900)), "is compressed by gzip, .*unpack it"),
    "a pointer": (written(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "only a pointer of Git LFS"),
    "a web page": (written(b"\n<!DOCTYPE html><html></html>"), "is a web page"),
    "an index of shards": (
        written(b'{"weight_map": {"a": "b.safetensors"}}'),
        r"is a JSON file \(the index of weights",
    ),
    "nothing": (written(b""), "is an empty file"),
    "noise": (written(bytes(range(7, 256)) * 4), "is of an unknown kind"),
    "text": (written(b"my weights are 3 and 4\n"), "is of an unknown kind"),
    "a part of a torch file": (truncated(torch.save), "cannot be read"),
    "a part of a safetensors file": (truncated(save_file), "cannot be read"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_files_are_refused_in_one_sentence(tmp_path, kind):
    make, message = REFUSED[kind]
    make(tmp_path / "w.bin")
    with pytest.raises(DynvisionError, match=message) as error:
        load_checkpoint(tmp_path / "w.bin", make_network())
    assert isinstance(error.value, DamagedFileError)
    assert "\n" not in str(error.value)


def test_code_beside_the_weights_is_never_run(tmp_path):
    torch.save({"model": WEIGHTS, "settings": Evil(), "hook": io.open_code}, tmp_path / "w.pt")
    network = make_network()
    load_checkpoint(tmp_path / "w.pt", network)
    assert_same(network)


def test_what_torch_may_load_is_as_before(tmp_path):
    torch.serialization.add_safe_globals([Mood])
    try:
        before = torch.serialization.get_safe_globals()
        torch.save(READ["lightning"], tmp_path / "w.pt")
        load_checkpoint(tmp_path / "w.pt", make_network())
        assert set(torch.serialization.get_safe_globals()) == set(before)
    finally:
        torch.serialization.clear_safe_globals()
