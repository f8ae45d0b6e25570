"""On a GPU a network gives the same numbers at every run."""

import pytest
import torch
from torch import nn

from dynvision.models.reproducible import reproducible_kernels


def kernels() -> tuple[bool, bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, torch.are_deterministic_algorithms_enabled()


def test_a_gpu_computes_with_reproducible_kernels_and_as_before_afterwards():
    before = kernels()
    with reproducible_kernels(torch.device("cuda:1")):
        assert kernels() == (False, True, False, True)
    assert kernels() == before


def test_the_cpu_computes_as_ever():
    before = kernels()
    with reproducible_kernels(torch.device("cpu")):
        assert kernels() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")
def test_gradients_on_a_gpu_are_the_same_bits_at_every_run():
    def gradient() -> torch.Tensor:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 64, 5, padding=2), nn.ReLU(), nn.Conv2d(64, 64, 3, groups=64)).cuda()
        with reproducible_kernels(torch.device("cuda")):
            network(torch.randn(64, 3, 32, 32).cuda()).square().mean().backward()
        return network[0].weight.grad

    assert torch.equal(gradient(), gradient())
