from __future__ import annotations

import pytest
import torch

from dynvision.data.betons.raw_images import RawImages
from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.errors import DamagedFileError
from tests.helpers.files import flip_byte

NORMALIZE = {"rgb": ((0.5, 0.4, 0.3), (0.2, 0.3, 0.25)), "grey": ((0.13,), (0.31,))}


@pytest.mark.parametrize("name", NORMALIZE)
def test_images_and_labels_are_those_of_ffcv(betons, name):
    through = get_ffcv_dataloader(betons.path(name), 12, normalize=NORMALIZE[name], label_space="group")
    images, labels, _ = next(iter(through.iterate_images()))
    straight = RawImages(betons.path(name), NORMALIZE[name])
    assert len(straight) == 12
    assert torch.equal(torch.stack([straight[n][0] for n in range(12)]), images)
    assert [straight[n][1] for n in range(12)] == labels.tolist()


def test_a_batch_is_read_in_the_order_asked_for(betons):
    images = RawImages(betons.path("rgb"), None)
    for (image, label), index in zip(images.__getitems__([4, 0, 4]), [4, 0, 4], strict=True):
        assert torch.equal(image, images[index][0])
        assert label == images[index][1]


def test_compressed_images_are_refused(betons):
    with pytest.raises(ValueError, match="write_mode 'jpg'; these need get_ffcv_dataloader"):
        RawImages(betons.path("photo"), None)


def test_a_damaged_file_is_refused(beton_copy):
    flip_byte(beton_copy, -500)
    with pytest.raises(DamagedFileError, match="is damaged"):
        RawImages(beton_copy, None)


@pytest.mark.parametrize("change", ["truncated", "removed", "written again"])
def test_a_file_that_changes_while_it_is_read_is_an_error(beton_copy, change):
    images = RawImages(beton_copy, None)
    assert images[6][0].isfinite().all()
    content = beton_copy.read_bytes()
    beton_copy.unlink()
    if change != "removed":
        beton_copy.write_bytes(content[:100] if change == "truncated" else content)
    with pytest.raises(DamagedFileError, match="changed or replaced while it was read"):
        images[6]
