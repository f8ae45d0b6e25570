"""Responses to export, whose stores are written once for all tests of this folder: exporting only reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray

from tests.helpers.exports import make_responses


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a store for each level."""
    folder = tmp_path_factory.mktemp("stores")
    make_responses(folder)
    return folder


@pytest.fixture
def responses(stores: Path) -> xarray.DataTree:
    """The stores of all levels, opened together."""
    return make_responses(stores)
