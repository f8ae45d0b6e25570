from __future__ import annotations

import importlib

import pytest

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
