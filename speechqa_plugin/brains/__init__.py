"""Brains: the order of events in a training stage."""

from speechqa_plugin.brains.calibration import CalibrationBrain

__all__ = ["CalibrationBrain"]
