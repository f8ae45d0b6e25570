from __future__ import annotations

import numpy as np
import pytest
import torch

from dynvision.errors import ConfigError
from dynvision.experiments.reducing import Reduction, choose_units


@pytest.fixture
def output() -> torch.Tensor:
    return torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0)) + 100


def test_channel_resolution_is_mean_and_population_deviation_over_space(output):
    kept = Reduction("channel")("V1", output)
    flat = output.double().flatten(2)
    torch.testing.assert_close(kept["mean"].double(), flat.mean(2), rtol=1e-6, atol=0)
    torch.testing.assert_close(kept["std"].double(), flat.std(2, correction=0), rtol=1e-4, atol=0)


def test_layer_resolution_keeps_mean_deviation_and_that_of_features(output):
    kept = Reduction("layer")("V1", output)
    values = output.double()
    torch.testing.assert_close(kept["mean"].double(), values.flatten(1).mean(1), rtol=1e-6, atol=0)
    torch.testing.assert_close(kept["std"].double(), values.flatten(1).std(1, correction=0), rtol=1e-4, atol=0)
    features = values.flatten(2).mean(2).std(1, correction=0)
    torch.testing.assert_close(kept["feature_std"].double(), features, rtol=1e-3, atol=1e-5)


def test_small_spread_around_a_large_mean_is_kept():
    wide = torch.full((1, 1, 8, 8), 4096.0)
    wide[..., ::2] += 2**-8
    assert float(Reduction("channel")("V1", wide)["std"]) == pytest.approx(2**-9, rel=1e-3)


def test_tokens_are_stored_channels_first():
    tokens = torch.arange(2 * 3 * 4).reshape(2, 3, 4).float()
    torch.testing.assert_close(Reduction("unit")("block", tokens)["response"], tokens.transpose(1, 2))
    torch.testing.assert_close(Reduction("channel")("block", tokens)["mean"], tokens.mean(1))


@pytest.mark.parametrize("shape", [(3, 4, 5), (6, 7), (50,)])
def test_chosen_units_are_those_at_the_stored_positions(shape):
    reduction = Reduction("unit", units=11, unit_seed=3)
    output = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    given = output.transpose(1, 2) if len(shape) == 2 else output
    kept = reduction("V1", given)["response"]
    positions = reduction.coordinates("V1", shape)
    assert list(positions) == {3: ["channel", "y", "x"], 2: ["channel", "token"], 1: ["channel"]}[len(shape)]
    np.testing.assert_array_equal(kept, output.numpy()[(slice(None), *positions.values())])


def test_choice_of_units_follows_from_layer_and_seed_alone():
    first = choose_units("V1", 1000, 20, 0)
    np.testing.assert_array_equal(first, choose_units("V1", 1000, 20, 0))
    assert len(set(first.tolist())) == 20
    assert not np.array_equal(first, choose_units("V2", 1000, 20, 0))
    assert not np.array_equal(first, choose_units("V1", 1000, 20, 1))


def test_layer_with_fewer_units_is_kept_whole():
    output = torch.randn(2, 5)
    reduction = Reduction("unit", units=10)
    torch.testing.assert_close(reduction("classifier", output)["response"], output)
    assert reduction.coordinates("classifier", (5,)) == {}


def test_output_of_five_dimensions_is_an_error():
    with pytest.raises(ConfigError, match=r"the layer 'V1' gives outputs of shape \[2, 3, 4, 5, 6\]"):
        Reduction("unit")("V1", torch.zeros(2, 3, 4, 5, 6))
