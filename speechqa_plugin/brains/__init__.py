"""Brains: the order of events in a training stage."""

from speechqa_plugin.brains.calibration import CalibrationBrain
from speechqa_plugin.brains.grpo import GRPOBrain

__all__ = ["CalibrationBrain", "GRPOBrain"]
