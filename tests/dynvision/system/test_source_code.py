from __future__ import annotations

import ast
import hashlib
import importlib
import os

import pytest

from dynvision.errors import ConfigError
from dynvision.system.source_code import digest_source


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mynets").mkdir()
    (tmp_path / "mynets" / "__init__.py").write_text("raise RuntimeError('this must not be imported')\n")
    (tmp_path / "mynets" / "small.py").write_text("class Net: ...\n")
    (tmp_path / "lonely.py").write_text("class Net: ...\n")
    importlib.invalidate_caches()
    return tmp_path


@pytest.mark.parametrize(("path", "file"), [("mynets.small:Net", "mynets/small.py"), ("lonely:Net", "lonely.py")])
def test_digest_changes_with_the_file_and_imports_nothing(package, path, file):
    before = digest_source(path)
    assert len(before) == 32
    assert digest_source(path) == before
    (package / file).write_text("class Net: changed = True\n")
    assert digest_source(path) != before


@pytest.mark.parametrize(
    "path", ["torchvision.models:resnet18", "dynvision.models:RCNN", "no_such_module:Net", "json:x"]
)
def test_installed_packages_and_this_library_have_no_digest(path):
    assert digest_source(path) == ""


def test_folder_without_an_init_file_has_a_digest_too(package):
    (package / "loose").mkdir()
    (package / "loose" / "net.py").write_text("class Net: ...\n")
    importlib.invalidate_caches()
    before = digest_source("loose.net:Net")
    assert len(before) == 32
    (package / "loose" / "net.py").write_text("class Net: changed = True\n")
    assert digest_source("loose.net:Net") != before


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder on the path, and a function that writes files into it by their names."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        importlib.invalidate_caches()

    return write


FOLLOWED = {
    "a module by name": ("import q_layers", "q_layers.py"),
    "a module of a package": ("import q_pack.deep.layers as l", "q_pack/deep/layers.py"),
    "the package on the way": ("import q_pack.deep.layers", "q_pack/__init__.py"),
    "a name from a module": ("from q_layers import Block", "q_layers.py"),
    "a module from a package": ("from q_pack import other", "q_pack/other.py"),
    "a module from a folder without an init file": ("from q_loose import other", "q_loose/other.py"),
    "inside a function": ("def build():\n    if True:\n        import q_layers", "q_layers.py"),
    "under an exception": ("try:\n    import torch\nexcept ImportError:\n    import q_layers", "q_layers.py"),
    "for type checkers": ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import q_layers", "q_layers.py"),
    "everything": ("from q_layers import *", "q_layers.py"),
    "everything that a package lists": ("from q_pack import *", "q_pack/starred.py"),
    "everything that a package finds when it runs": ("from q_found import *", "q_found/other.py"),
    "import_module": ("import importlib\nx = importlib.import_module('q_pack.other')", "q_pack/other.py"),
    "import_module by another name": (
        "from importlib import import_module as load\nx = load(name='q_layers')",
        "q_layers.py",
    ),
    "import_module within a package": (
        "import importlib\nimportlib.import_module('.other', 'q_pack')",
        "q_pack/other.py",
    ),
    "__import__": ("x = __import__('q_layers')", "q_layers.py"),
    "__import__ with names": ("x = __import__('q_pack', fromlist=['other'])", "q_pack/other.py"),
    "another module of what is imported": ("import q_first", "q_layers.py"),
    "relative imports further on": ("import q_pack.relative", "q_pack/other.py"),
    "relative imports two levels up": ("import q_pack.deep.up", "q_pack/other.py"),
    "a relative import_module": ("import q_pack.calling", "q_pack/other.py"),
}


@pytest.mark.parametrize(("line", "file"), FOLLOWED.values(), ids=FOLLOWED.keys())
def test_a_change_in_what_the_module_imports_changes_the_digest(root, tmp_path, line, file):
    root(
        {
            "q_net.py": f"{line}\nclass Net: ...\n",
            "q_first.py": "import q_net\nimport q_layers\n",
            "q_layers.py": "import q_net, q_layers\nclass Block: ...\n",
            "q_pack/__init__.py": "__all__ = ['starred']\n__all__ += ['Name']\nraise RuntimeError('imported')\n",
            "q_pack/starred.py": "x = 1\n",
            "q_pack/other.py": "x = 1\n",
            "q_pack/relative.py": "from . import other\n",
            "q_pack/calling.py": "from importlib import import_module\nimport_module('.other', __package__)\n",
            "q_pack/deep/layers.py": "x = 1\n",
            "q_pack/deep/up.py": "from ..other import x\n",
            "q_loose/other.py": "x = 1\n",
            "q_found/__init__.py": "import glob\n__all__ = [name for name in glob.glob('*')]\n",
            "q_found/other.py": "x = 1\n",
        }
    )
    before = digest_source("q_net:Net")
    assert len(before) == 32
    assert digest_source("q_net:Net") == before
    (tmp_path / file).write_text((tmp_path / file).read_text() + "changed = 1\n")
    assert digest_source("q_net:Net") != before


def test_a_file_that_imports_nothing_of_its_own_has_the_digest_of_its_bytes(root, tmp_path):
    text = "import json, torch, dynvision.models\nfrom . import nothing\nclass Net: ...\n"
    root({"q_alone.py": text, "q_pack/__init__.py": "# nothing here\n", "q_pack/net.py": text})
    expected = hashlib.sha256(text.encode()).hexdigest()[:32]
    assert digest_source("q_alone:Net") == expected
    assert digest_source("q_pack.net:Net") == expected
    assert digest_source("q_alone:Net", {"block": "torch.nn:Linear", "text": "a:b"}) == expected
    (tmp_path / "q_pack" / "__init__.py").write_text("x = 1\n")
    assert digest_source("q_pack.net:Net") != expected


def test_a_file_next_to_it_that_is_not_imported_changes_nothing(root, tmp_path):
    root({"q_net.py": "import q_layers\n", "q_layers.py": "x = 1\n", "q_unused.py": "x = 1\n"})
    before = digest_source("q_net:Net")
    (tmp_path / "q_unused.py").write_text("x = 2\n")
    assert digest_source("q_net:Net") == before


@pytest.mark.parametrize("content", [b"def broken(:\n    import q_more\n", b"\x00\x01", b"x = '\xff'\n", b"(" * 5000])
def test_a_file_that_cannot_be_parsed_counts_by_its_bytes(root, tmp_path, content):
    root({"q_net.py": "import q_odd\n", "q_odd.py": content})
    before = digest_source("q_net:Net")
    (tmp_path / "q_odd.py").write_bytes(content + b"\n")
    assert digest_source("q_net:Net") != before


def test_classes_in_the_arguments_are_followed(root, tmp_path):
    root({"q_net.py": "class Net: ...\n", "q_blocks.py": "import q_deep\n", "q_deep.py": "x = 1\n"})
    arguments = {"blocks": [{"type": "q_blocks:Block"}], "width": 3}
    before = digest_source("q_net:Net", arguments)
    assert before != digest_source("q_net:Net")
    (tmp_path / "q_deep.py").write_text("x = 2\n")
    assert digest_source("q_net:Net", arguments) != before
    assert digest_source("torchvision.models:resnet18", {"norm_layer": "q_blocks:Block"}) != ""


def test_a_file_is_parsed_once_until_it_changes(root, tmp_path, monkeypatch):
    root({"q_net.py": "import q_layers\n", "q_layers.py": "x = 1\n"})
    parsed = []
    parse = ast.parse
    monkeypatch.setattr(ast, "parse", lambda source, *a, **k: parsed.append(source) or parse(source, *a, **k))
    for _ in range(3):
        digest_source("q_net:Net")
    assert parsed == [b"import q_layers\n", b"x = 1\n"]
    (tmp_path / "q_layers.py").write_text("x = 2\n")
    digest_source("q_net:Net")
    assert parsed[2:] == [b"x = 2\n"]


def test_two_changes_within_a_tick_of_the_clock_are_told_apart(root, tmp_path):
    root({"q_net.py": "x = 1\n"})
    path = tmp_path / "q_net.py"
    digests = set()
    for n in range(10):
        path.write_text(f"x = {n}\n")
        os.utime(path, ns=(10**18, 10**18))
        digests.add(digest_source("q_net:Net"))
    assert len(digests) == 10


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read_is_named(root, tmp_path):
    root({"q_net.py": "import q_secret\n", "q_secret.py": "x = 1\n"})
    (tmp_path / "q_secret.py").chmod(0)
    with pytest.raises(ConfigError, match=r"cannot read .*q_secret\.py, which 'q_net:Net' is made of: Permission"):
        digest_source("q_net:Net")
