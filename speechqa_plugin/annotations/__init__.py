"""What human annotators wrote in free English, read as presence, type and times of an artifact."""

from speechqa_plugin.annotations.base import Annotation, Flag
from speechqa_plugin.annotations.parse import parse_annotation
from speechqa_plugin.annotations.prose import without_times

__all__ = ["Annotation", "Flag", "parse_annotation", "without_times"]
