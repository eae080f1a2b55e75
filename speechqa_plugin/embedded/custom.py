"""For `speechbrain.inference.interfaces.foreign_class`, which runs this file."""

from speechqa_plugin.inference import SpeechQualityAssessor

CustomInterface = SpeechQualityAssessor  # the name that foreign_class asks for if given none
