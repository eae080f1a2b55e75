"""Warped bands and shifted frames: against numpy, in training alone, the same for a seed."""

import numpy as np
import pytest
import speechbrain as sb
import torch
from tiny import CLEAN, NOISY, tiny_answerer

from speechqa_plugin.brains.augmentation import shift_frames, warp_bands
from speechqa_plugin.brains.hearing import HearingBrain


def test_each_window_is_interpolated_by_its_own_factor():
    features = torch.randn(3, 8, 5, generator=torch.manual_seed(0))
    factors = torch.tensor([0.8, 1.0, 1.3])
    warped = warp_bands(features, factors)
    bands = np.arange(8)
    for window, out, factor in zip(features.numpy(), warped.numpy(), factors.tolist(), strict=True):
        for frame in range(5):
            wanted = np.interp(bands / factor, bands, window[:, frame])
            np.testing.assert_allclose(out[:, frame], wanted, atol=1e-5)
    assert torch.equal(warped[1], features[1])


def test_each_window_is_shifted_by_its_own_part_of_a_frame():
    features = torch.randn(3, 2, 6, generator=torch.manual_seed(0))
    shares = torch.tensor([0.0, 0.3, 1.0])
    shifted = shift_frames(features, shares)
    for window, out, share in zip(features.numpy(), shifted.numpy(), shares.tolist(), strict=True):
        for band, row in zip(window, out, strict=True):
            wanted = np.interp(np.arange(6) + share, np.arange(6), band)
            np.testing.assert_allclose(row, wanted, atol=1e-6)


def brain(band_warp):
    return HearingBrain(
        opt_class=lambda named: torch.optim.SGD([p for _, p in named], lr=0.1),
        hparams={"seed": 1},
        run_opts={"device": "cpu"},
        answerer=tiny_answerer(),
        valid_utterances=[],
        band_warp=band_warp,
    )


def test_only_training_clips_are_warped_and_by_the_steps_seed():
    warping = brain(0.2)
    inputs = warping.answerer.inputs([CLEAN, NOISY], ["scores"] * 2)
    assert torch.equal(warping.training_inputs(inputs, sb.Stage.VALID).features, inputs.features)
    seen = []
    for _ in range(2):
        warping.on_fit_batch_start(None, True)
        seen.append(warping.training_inputs(inputs, sb.Stage.TRAIN).features)
    assert torch.equal(*seen) and not torch.equal(seen[0], inputs.features)
    plain = brain(0.0).training_inputs(inputs, sb.Stage.TRAIN)
    assert torch.equal(plain.features, inputs.features)


def test_a_share_that_is_none_is_refused():
    with pytest.raises(ValueError, match="band_warp is 2; need a share from 0 to 0.5"):
        brain(2)
