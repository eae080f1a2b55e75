"""An exported compact model loaded without torch, for commands that hear a file and end.

Only what `speechqa_plugin.export` writes of such a model, and nothing else, is read in this way:
its ``hyperparams.yaml`` is read as data and no code that it names is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from speechqa_plugin.assessor import Assessor
from speechqa_plugin.listening import Answerer
from speechqa_plugin.models.array_llm import ArrayLLM, Sizes
from speechqa_plugin.schema import make_taxonomy

_MODEL = "!new:speechqa_plugin.models.compact.CompactAudioFlamingo3"
_TAXONOMY = "!apply:speechqa_plugin.schema.make_taxonomy"
_ANSWERER = "!new:speechqa_plugin.listening.Answerer"
_TAGS = {
    "audio_llm": _MODEL,
    "taxonomy": _TAXONOMY,
    "answerer": _ANSWERER,
    "modules": "",
    "pretrainer": "!new:speechbrain.utils.parameter_transfer.Pretrainer",
}


class LightAssessor(Assessor):
    """Assesses files as `SpeechQualityAssessor` does.

    Arguments
    ---------
    answerer : Answerer
        A model without torch, and a taxonomy.
    """

    def __init__(self, answerer: Answerer):
        self.answerer = answerer


class _Node(NamedTuple):
    """A value with a tag of HyperPyYAML's."""

    tag: str
    value: Any


class _Loader(yaml.SafeLoader):
    def tagged(self, suffix: str, node: yaml.Node) -> _Node:
        if isinstance(node, yaml.MappingNode):
            return _Node(f"!{suffix}", self.construct_mapping(node, deep=True))
        return _Node(f"!{suffix}", node.value)


_Loader.add_multi_constructor("!", _Loader.tagged)


def load_light(folder: str | Path) -> LightAssessor | None:
    """Load an exported compact model.

    Arguments
    ---------
    folder : str or Path
        As `speechqa_plugin.export.export_assessor` wrote it.

    Returns
    -------
    LightAssessor or None
        Hears on the CPU. None where the folder is anything else, which
        `SpeechQualityAssessor.from_hparams` may load, or say what is wrong with.

    Example
    -------
    >>> from speechqa_plugin.export import export_assessor
    >>> from speechqa_plugin.models.compact import CompactAudioFlamingo3
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> answerer = Answerer(CompactAudioFlamingo3(32, 1, 2, 32, 1, 2), load_taxonomy("nisqa"))
    >>> load_light(export_assessor(answerer, getfixture("tmp_path") / "exported")) is not None
    True
    """
    try:
        text = (Path(folder) / "hyperparams.yaml").read_text(encoding="utf-8")
        keys = yaml.load(text, _Loader)
        found = {k: v.tag if isinstance(v, _Node) else "" for k, v in keys.items()}
        if found != _TAGS:
            return None
        llm = ArrayLLM(Path(folder) / "audio_llm.ckpt", Sizes(**keys["audio_llm"].value))
        taxonomy = make_taxonomy(**keys["taxonomy"].value)
        options = keys["answerer"].value
        own = {"audio_llm": llm, "taxonomy": taxonomy}
        if any(options.pop(name) != _Node("!ref", f"<{name}>") for name in own):
            return None
        return LightAssessor(Answerer(**own, **options))
    except (OSError, ValueError, TypeError, AttributeError, KeyError, yaml.YAMLError):
        return None  # UnknownModelError among them; what is wrong is said by who loads it in full
