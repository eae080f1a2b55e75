import pytest
import torch
from torch.distributions import Categorical

from speechqa_plugin.models.logprobs import log_softmax_without, token_logps

BARRED = 7


def case(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(11, 6, generator=generator).to(dtype).requires_grad_()
    head = torch.nn.Linear(6, 50, bias=False).to(dtype)
    with torch.no_grad():
        head.weight.copy_(2 * torch.randn(50, 6, generator=generator))
    ids = torch.tensor([0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 49])
    return hidden, head, ids


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_equals_the_distribution_over_the_other_tokens(temperature):
    hidden, head, ids = case()
    others = [i for i in range(50) if i != BARRED]
    oracle = Categorical(logits=head(hidden)[:, others] / temperature)
    logps, entropies, choices = token_logps(hidden, head, ids, BARRED, (3, 9), temperature)
    places = torch.tensor([others.index(i) for i in ids.tolist()])
    torch.testing.assert_close(logps, oracle.log_prob(places))
    torch.testing.assert_close(entropies, oracle.entropy())
    assert not entropies.requires_grad
    two = Categorical(logits=head(hidden)[:, [3, 9]])  # as evaluation has them
    torch.testing.assert_close(choices.exp(), two.probs)


def test_chunks_change_neither_values_nor_gradients():
    results = []
    for at_once in (10**6, 4 * 50, 1):
        hidden, head, ids = case()
        logps, entropies, choices = token_logps(hidden, head, ids, BARRED, (3, 9), 1, at_once)
        ((logps + choices[:, 0]) * torch.arange(11)).sum().backward()
        results.append((logps, entropies, choices, hidden.grad, head.weight.grad))
    for other in results[1:]:
        torch.testing.assert_close(other, results[0])


def test_the_softmax_of_half_precision_logits_is_taken_in_full_precision():
    hidden, head, ids = case(torch.bfloat16)
    logps, _, _ = token_logps(hidden, head, ids, BARRED)
    exact = log_softmax_without(head(hidden).double().float(), BARRED)
    assert logps.dtype == torch.float32
    torch.testing.assert_close(logps, exact.gather(1, ids[:, None])[:, 0])


def test_the_barred_token_has_no_probability_and_no_gradient():
    logits = torch.randn(3, 9, requires_grad=True)
    logps = log_softmax_without(logits, BARRED)
    assert (logps[:, BARRED] == -torch.inf).all()
    logps[:, 0].sum().backward()
    assert (logits.grad[:, BARRED] == 0).all() and logits.grad.isfinite().all()


def test_no_token_at_all():
    hidden, head, ids = case()
    logps, entropies, choices = token_logps(hidden[:0], head, ids[:0], BARRED, (3, 9))
    logps.sum().backward()
    assert logps.shape == entropies.shape == (0,) and choices.shape == (0, 2)
    assert (hidden.grad == 0).all()
