"""The optimizer: Muon as torch's own, which works in bfloat16, and as the SVD says."""

import pytest
import torch

from speechqa_plugin.brains.optimizers import Muon, MuonAdamW, orthogonalise

SHAPES = [(12, 12), (24, 8), (8, 24)]


def steps_of(make, start, gradients):
    matrix = torch.nn.Parameter(start.clone())
    optimizer = make([matrix])
    for gradient in gradients:
        matrix.grad = gradient.clone()
        optimizer.step()
    return matrix.detach()


@pytest.mark.parametrize("shape", SHAPES)
def test_muon_goes_where_torchs_goes(shape):
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), torch.randn(4, *shape)
    ours = steps_of(lambda p: Muon(p, lr=0.1, weight_decay=0.02), start, gradients)
    theirs = steps_of(lambda p: torch.optim.Muon(p, lr=0.1, weight_decay=0.02), start, gradients)
    # theirs rounds to bfloat16 fifteen times a step
    assert (ours - theirs).norm() < 0.02 * (theirs - start).norm()


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonalised_matrices_keep_the_singular_vectors(shape):
    torch.manual_seed(1)
    matrix = torch.randn(shape)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    within = left.T @ orthogonalise(matrix, steps=5) @ right.T
    off = within - within.diag().diag()
    assert off.abs().max() < 1e-4
    assert within.diag().min() > 0.3 and within.diag().max() < 1.3


def test_a_gradient_of_zero_moves_nothing_but_the_decay():
    start = torch.ones(3, 5)
    moved = steps_of(lambda p: Muon(p, lr=0.1, weight_decay=0.5), start, [torch.zeros(3, 5)])
    assert torch.equal(moved, torch.full((3, 5), 0.95))


def test_matrices_without_a_gradient_are_left_alone():
    layer = torch.nn.Linear(3, 3)
    before = layer.weight.detach().clone()
    MuonAdamW(layer.named_parameters(), muon_lr=0.1, lr=0.1).step()
    assert torch.equal(layer.weight, before)
