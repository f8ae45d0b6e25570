"""The names of devices."""

from __future__ import annotations

import pytest

from dynvision.errors import UnknownNameError
from dynvision.system.machine import DEVICES, check_device


@pytest.mark.parametrize("name", [*DEVICES, "cuda:16", "cuda:127"])
def test_a_device_has_any_number(name):
    assert check_device(name) == name


@pytest.mark.parametrize("name", ["cuda:x", "cuda:01", "cuda:", "cuda:-1", "gpu", ""])
def test_the_error_says_how_a_numbered_device_is_named(name):
    with pytest.raises(UnknownNameError, match=f"device '{name}'.*cuda:<number>"):
        check_device(name)
