"""The adapter of a model as files that others read: peft, vLLM, `PublishedWeights`."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from safetensors.torch import save

from speechqa_plugin.models.audio_llm import AudioLLM


def write_adapter(audio_llm: AudioLLM, folder: str | os.PathLike, name: str) -> Path:
    """Write a model's adapter as peft does, in a folder named after its contents.

    Arguments
    ---------
    audio_llm : AudioLLM
        A model with an adapter, see `speechqa_plugin.models.published`.
    folder : str or path
        Gets the adapter's folder, which appears whole or not at all.
    name : str
        Start of its name.

    Returns
    -------
    Path
        ``<folder>/<name>-<digest>``; equal weights of equal scale have equal names.

    Example
    -------
    >>> write_adapter(audio_llm, "adapters", "policy").name  # doctest: +SKIP
    'policy-5c1d3fb0a6e1b2d4'
    """
    network, folder = audio_llm.model, Path(folder)
    config = network.peft_config["default"]
    tensors = {
        _published_name(parameter_name): parameter.detach().cpu().contiguous()
        for parameter_name, parameter in network.named_parameters()
        if ".lora_" in parameter_name
    }
    data = save(tensors, metadata={"format": "pt"})
    digest = hashlib.sha256(data)
    digest.update(str(config.lora_alpha).encode())  # the rank is in the tensors' shapes
    target = folder / f"{name}-{digest.hexdigest()[:16]}"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            partial = Path(temporary) / target.name
            partial.mkdir()
            (partial / "adapter_model.safetensors").write_bytes(data)
            config.save_pretrained(partial)
            os.replace(partial, target)
    return target


def _published_name(name: str) -> str:
    """As in published checkpoints of these bases, and in vLLM, under the prefix that peft adds."""
    name = name.replace("model.language_model.", "language_model.model.", 1)
    return f"base_model.model.{name.replace('.default.', '.')}"
