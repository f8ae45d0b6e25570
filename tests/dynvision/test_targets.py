"""Names of targets."""

from __future__ import annotations

import pytest

from dynvision.targets import begins_with


@pytest.mark.parametrize(
    ("key", "prefix", "begins"),
    [
        ("responses/contrast/rcnn", "responses/contrast", True),
        ("responses/contrast/rcnn", "responses/contrast/", True),
        ("responses/contrast_duration/rcnn", "responses/contrast", False),
        ("responses/contrast/rcnn", "", True),
        ("responses/contrast", "responses/contrast/rcnn", False),
    ],
)
def test_a_key_begins_with_whole_parts(key: str, prefix: str, begins: bool) -> None:
    assert begins_with(key, prefix) == begins
