"""The wide simulation's degradations: which functions stand for which type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from speechqa_plugin.simulate import degradations
from speechqa_plugin.simulate.degradations import distort
from speechqa_plugin.simulate.signals import Degraded
from speechqa_plugin.simulate.wide import coders, network, suppression, vocoders

OWN: Mapping[str, Callable[..., Degraded]] = {
    "modulated noise": partial(distort, process=network.modulate_noise),
    "vocoder artifacts": partial(distort, process=vocoders.resynthesise),
    "noise suppression artifacts": partial(distort, process=suppression.suppress),
    "level steps": partial(distort, process=network.step_level),
    "packet loss": partial(distort, process=network.lose_packets),
    "codec": coders.code_part,
}
"""Types that the narrower simulation lacks, and those that are wider here."""

TYPES = tuple(dict.fromkeys((*degradations.CHAIN, *OWN)))
"""Every type of the ``wide`` taxonomy."""

degrade = partial(degradations.degrade, processes=OWN)
"""`degradations.degrade` that knows them."""
