"""Channels become one: block by block as all at once."""

import numpy as np
import pytest

from speechqa_plugin.channels import Channels

RNG = np.random.default_rng(0)
TALK = RNG.standard_normal(8000).astype(np.float32)
OTHER = RNG.standard_normal(8000).astype(np.float32)


def made_of(*channels, blocks=1):
    samples = np.stack(channels, axis=1)
    made = Channels(len(channels))
    for block in np.array_split(samples, blocks):
        made.add(block)
    return made, samples


@pytest.mark.parametrize("blocks", [1, 7])
@pytest.mark.parametrize(
    ("share", "alone"), [(1.0, None), (0.0, None), (-0.4, None), (-0.8, 0), (-1.0, 0), (-1.2, 1)]
)
def test_how_much_of_a_channel_must_be_another_turned_over(blocks, share, alone):
    made, samples = made_of(TALK, share * TALK, blocks=blocks)
    assert made.alone == alone
    expected = samples.mean(axis=1) if alone is None else samples[:, alone]
    assert np.array_equal(made.mix(samples), expected)
    assert made.mix(samples).dtype == np.float32
    assert bool(made.warnings) == (alone is not None)


def test_unrelated_channels_do_not_cancel_and_nearly_opposite_ones_do():
    assert made_of(TALK, OTHER)[0].alone is None
    assert made_of(TALK, -TALK + 0.2 * OTHER)[0].alone == 1  # the louder, by the little
    assert made_of(TALK, -TALK + OTHER)[0].alone is None


def test_one_channel_or_no_samples_are_not_weighed():
    assert made_of(TALK)[0].alone is None
    assert Channels(2).alone is None


def test_samples_that_are_not_finite_decide_nothing():
    assert made_of(TALK, np.where(TALK > 3, np.nan, -TALK))[0].alone is None
