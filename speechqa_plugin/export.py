"""From a trained model to a folder that `SpeechQualityAssessor.from_hparams` loads."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import torch
import yaml

from speechqa_plugin.listening import Answerer

_HEADER = """\
# Hyperparameters for inference; load with
#   SpeechQualityAssessor.from_hparams(source="<this folder>")
# HyperPyYAML runs the code that it names: load such files from people you trust only.
"""
_CUSTOM = '''\
"""For `speechbrain.inference.interfaces.foreign_class`, which runs this file."""

from speechqa_plugin.inference import SpeechQualityAssessor

CustomInterface = SpeechQualityAssessor  # the name that foreign_class asks for if given none
'''
_README = """\
# A speech quality assessor

Made with speechqa_plugin. `audio_llm.ckpt` holds the weights in safetensors format,
`hyperparams.yaml` the model's shape and its taxonomy ({taxonomy}: {dimensions}).

```python
from speechqa_plugin import SpeechQualityAssessor

assessor = SpeechQualityAssessor.from_hparams(source="path/of/this/folder")
print(assessor.assess_file("speech.wav"))
```

SpeechBrain loads it, too, by `custom.py`:
`speechbrain.inference.interfaces.foreign_class(source="path/of/this/folder")`.
"""


def export_assessor(
    answerer: Answerer, folder: str | os.PathLike, dtype: torch.dtype | None = None
) -> Path:
    """Write a trained model with all that is needed to use it.

    The folder appears whole or not at all. A model on a published base holds only what was
    trained; the base's id or folder is the scalar ``base_model``, which ``overrides`` can change.

    Arguments
    ---------
    answerer : Answerer
        The trained model and its taxonomy.
    folder : str or path
        Is replaced if it is an earlier export, refused if it is anything else.
    dtype : torch.dtype, optional
        Type that the weights are written in, ``torch.float16`` for half the size; their own if
        not given. They are brought back to the model's where they are loaded.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder is there and is not an export.

    Example
    -------
    >>> from speechqa_plugin.models.compact import CompactAudioFlamingo3
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> answerer = Answerer(CompactAudioFlamingo3(32, 1, 2, 32, 1, 2), load_taxonomy("nisqa"))
    >>> folder = export_assessor(answerer, getfixture("tmp_path") / "exported")
    >>> sorted(p.name for p in folder.iterdir())
    ['README.md', 'audio_llm.ckpt', 'custom.py', 'hyperparams.yaml']
    """
    folder = Path(folder)
    if folder.exists() and not _is_export(folder):
        raise FileExistsError(f"{folder} is there and holds no exported model; give another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    taxonomy = answerer.taxonomy
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        partial = Path(temporary) / folder.name
        partial.mkdir()
        answerer.audio_llm.save(partial / "audio_llm.ckpt", dtype)
        (partial / "hyperparams.yaml").write_text(_hyperparams(answerer), encoding="utf-8")
        readme = _README.format(taxonomy=taxonomy.name, dimensions=", ".join(taxonomy.names))
        (partial / "custom.py").write_text(_CUSTOM, encoding="utf-8")
        (partial / "README.md").write_text(readme, encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    return folder


def _is_export(folder: Path) -> bool:
    """A training checkpoint has an ``audio_llm.ckpt``, too, and much that is found nowhere else."""
    file = folder / "hyperparams.yaml"
    return file.is_file() and file.read_text(encoding="utf-8").startswith(_HEADER)


def _hyperparams(answerer: Answerer) -> str:
    model_class = type(answerer.audio_llm)
    args = dict(answerer.audio_llm.init_args)
    scalars = {"base_model": args.pop("source")} if "source" in args else {}
    source = ["    source: !ref <base_model>\n"] if scalars else []
    return "".join(
        [
            _HEADER,
            yaml.safe_dump(scalars) if scalars else "",
            f"audio_llm: !new:{model_class.__module__}.{model_class.__qualname__}\n",
            *source,
            _indented(yaml.safe_dump(args, sort_keys=False)) if args else "",
            "taxonomy: !apply:speechqa_plugin.schema.make_taxonomy\n",
            _indented(yaml.safe_dump(answerer.taxonomy.to_dict(), sort_keys=False)),
            "answerer: !new:speechqa_plugin.listening.Answerer\n"
            "    audio_llm: !ref <audio_llm>\n"
            "    taxonomy: !ref <taxonomy>\n"
            f"    max_new_tokens: {answerer.max_new_tokens}\n"
            f"    long_form: {answerer.long_form}\n"
            "modules:\n"
            "    audio_llm: !ref <audio_llm>\n"
            "pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer\n"
            "    loadables:\n"
            "        audio_llm: !ref <audio_llm>\n",
        ]
    )


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())
