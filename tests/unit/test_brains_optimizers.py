"""The optimizer: Muon as torch's own, which works in bfloat16, and as the SVD says."""

from copy import deepcopy

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


def test_it_goes_on_from_its_state():
    torch.manual_seed(2)
    start, gradients = torch.randn(4, 6), torch.randn(3, 4, 6)

    def named(values):
        return [
            ("hidden", torch.nn.Parameter(values.clone())),
            ("bias", torch.nn.Parameter(values[0].clone())),
        ]

    def step(optimizer, parameters, gradient):
        for (_, parameter), grad in zip(parameters, (gradient, gradient[0]), strict=True):
            parameter.grad = grad.clone()
        optimizer.step()

    whole = named(start)
    optimizer = MuonAdamW(whole, muon_lr=0.1, lr=0.1)
    for gradient in gradients[:2]:
        step(optimizer, whole, gradient)
    resumed = named(start)
    for (_, parameter), (_, trained) in zip(resumed, whole, strict=True):
        parameter.data.copy_(trained.data)
    other = MuonAdamW(resumed, muon_lr=0.5, lr=0.5)
    other.load_state_dict(deepcopy(optimizer.state_dict()))  # as if saved: else they share tensors
    for each, parameters in ((optimizer, whole), (other, resumed)):
        step(each, parameters, gradients[2])
    for (_, parameter), (_, other_parameter) in zip(whole, resumed, strict=True):
        assert torch.equal(parameter, other_parameter)
