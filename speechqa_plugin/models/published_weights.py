"""Weights that were trained on a published base and published in their turn.

Such a release is an adapter (``adapter_config.json`` and ``adapter_model.safetensors``, as peft
writes them), or weights of the whole encoder or projector as safetensors, in one file or in
several with an index, or both in one folder. Every tensor must be used and none may be missing;
pickles are not read, since reading one runs its code.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from peft import LoraConfig, PeftConfig

from speechqa_plugin.models.audio_llm import open_tensors

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle")
"""Ends of the names of files that torch pickles into."""

NOT_WEIGHTS = ("training_args", "optimizer", "scheduler", "rng_state", "scaler")
"""Starts of the names of files that trainers leave beside the weights."""

_SET = ("r", "lora_alpha", "target_modules")
_HARMLESS = {
    *_SET,
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "init_lora_weights",
    "lora_dropout",  # training's own
    "modules_to_save",  # their tensors are read like any others
    "peft_type",
    "peft_version",
    "revision",
    "task_type",
}
"""What a LoRA config may say without changing what its layers compute."""

_PREFIXES = ("", "model.", "model.audio_tower.")
"""What may be missing from a name: nothing; ``model``, which older releases of transformers did not
have; the encoder's place, if it was saved alone."""

_OPTIONAL = ("embed_positions.weight", "audio_bos_eos_token.weight", "layer_mix")
"""Fixed positions, which need not be saved; what Qwen2.5-Omni's encoder holds and never uses; and a
mix that a release need not have learned."""

_SHOWN = 3


@dataclass(frozen=True)
class PublishedWeights:
    """Where published weights lie.

    Arguments
    ---------
    path : Path
        The file or folder.
    files : tuple of Path
        Safetensors files.
    adapter : peft.LoraConfig or None
        The adapter's shape, if there is one.
    """

    path: Path
    files: tuple[Path, ...]
    adapter: LoraConfig | None

    @classmethod
    def find(cls, path: str | os.PathLike, save_path: str | None = None) -> PublishedWeights:
        """Look into a file, a folder with its subfolders, or a repository of the hub.

        Arguments
        ---------
        path : str or path
            A safetensors file, its index, a folder, or a hub id.
        save_path : str, optional
            Where the hub's files are kept.

        Returns
        -------
        PublishedWeights

        Raises
        ------
        OSError
            If there is no such file or folder and the hub does not give it.
        ValueError
            If weights are pickled, absent, or incomplete, or there are two adapters or one of
            another kind than plain LoRA.

        Example
        -------
        >>> PublishedWeights.find("someone/a-release")  # doctest: +SKIP
        """
        found = Path(path)
        if not found.exists():
            found = _download(str(path), save_path)
        if found.is_dir():
            everything = sorted(f for f in found.rglob("*") if f.is_file())
        else:
            everything = [found]
        pickled = [f for f in everything if f.suffix in PICKLES]
        pickled = [f for f in pickled if not f.name.startswith(NOT_WEIGHTS)]
        if pickled:
            raise ValueError(
                f"{pickled[0]}: pickled weights are not read, since reading a pickle runs the "
                "code that it holds; convert them to safetensors, or ask those who published them "
                "to"
            )
        indices = [f for f in everything if f.name.endswith(".safetensors.index.json")]
        shards = {shard for index in indices for shard in _shards(index)}
        files = {f for f in everything if f.suffix == ".safetensors"} | shards
        if not files:
            raise ValueError(
                f"{found}: holds no safetensors file; need adapter_config.json with "
                "adapter_model.safetensors, weights of the encoder or projector, or both"
            )
        return cls(found, tuple(sorted(files)), _adapter(found, everything))

    def agree_with(self, lora: dict) -> dict:
        """What was asked for, completed from the adapter.

        Arguments
        ---------
        lora : dict
            ``r``, ``lora_alpha`` and ``target_modules``; None where nothing was asked for.

        Returns
        -------
        dict
            The same, without None if there is an adapter.

        Raises
        ------
        ValueError
            If the adapter has another value than what was asked for.
        """
        if self.adapter is None:
            return lora
        own = {name: _plain(getattr(self.adapter, name)) for name in _SET}
        differ = {n: v for n, v in lora.items() if v is not None and _plain(v) != own[n]}
        if differ:
            theirs = {name: own[name] for name in differ}
            raise ValueError(
                f"{self.path}: the adapter has {theirs}, asked for was {differ}; leave lora_rank, "
                "lora_alpha and lora_targets away to take the adapter's"
            )
        return own

    @torch.no_grad()
    def load_into(self, model, part_of: Callable[[str], str | None]) -> set[str]:
        """Put the weights into a network that has an adapter of this shape.

        Arguments
        ---------
        model : transformers.PreTrainedModel
            An audio LLM, see `speechqa_plugin.models.whisper_like`.
        part_of : callable
            `WhisperLikeLLM.part_of` of its class.

        Returns
        -------
        set of str
            Names of the parameters that came from here. Fixed positions are not among them.

        Raises
        ------
        ValueError
            If a tensor is unknown, missing, doubled, or of another shape, or positions are not
            those of the base. The network then stays as it was.
        """
        parameters = dict(model.named_parameters())
        parts = {n: "adapter" if ".lora_" in n else part_of(n) for n in parameters}
        known = {n: p for n, p in parameters.items() if parts[n] is not None}
        places: dict[str, tuple[Path, str]] = {}
        problems = []
        for file in self.files:
            with open_tensors(file) as tensors:
                for theirs in tensors.keys():  # noqa: SIM118
                    name = _own_name(theirs, known)
                    shape = tuple(tensors.get_slice(theirs).get_shape())
                    if name is None:
                        problems.append(f"{theirs} is unknown")
                    elif name in places:
                        problems.append(f"{name} is there twice")
                    elif shape != tuple(known[name].shape):
                        problems.append(f"{name}: {shape}, need {tuple(known[name].shape)}")
                    else:
                        places[name] = (file, theirs)
        if not problems:
            problems = [f"{name} is missing" for name in self._missing(places, parts)]
        tensors = {} if problems else _read(places)
        for name in [n for n in tensors if n.endswith("embed_positions.weight")]:
            # They are trained by nobody; other ones belong to another base.
            if not torch.allclose(tensors.pop(name).float(), known[name].float(), atol=1e-2):
                problems.append(f"{name} is not the base's")
        if problems:
            more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
            raise ValueError(
                f"{self.path}: these weights do not fit the base: "
                f"{'; '.join(problems[:_SHOWN])}{more}. What is taken is an adapter, and the "
                "encoder or projector as a whole; a whole model is a base of its own: name it as "
                "source"
            )
        for name, tensor in tensors.items():
            known[name].copy_(tensor)
        return set(tensors)

    def _missing(self, found: Collection[str], parts: dict[str, str | None]) -> list[str]:
        """What belongs to a part that is there, or that the adapter's config names."""
        missing = []
        for part in ("adapter", "encoder", "projector"):
            members = {n for n, belongs in parts.items() if belongs == part}
            promised = part == "adapter" and self.adapter is not None
            if promised or members & set(found):
                missing += sorted(m for m in members - set(found) if not m.endswith(_OPTIONAL))
        for module in (self.adapter and self.adapter.modules_to_save) or ():
            if not any(f".{module}." in name for name in found):
                missing.append(module)
        return missing


def _download(repository: str, save_path: str | None) -> Path:
    try:
        return Path(snapshot_download(repository, cache_dir=save_path))
    except (OSError, ValueError) as err:
        raise OSError(
            f"weights {repository!r}: no such file or folder, and the hub does not give them "
            f"({str(err).splitlines()[0]})"
        ) from err


def _shards(index: Path) -> set[Path]:
    """Files that an index names; each must hold what it says."""
    weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    shards = {name: index.parent / Path(name).name for name in sorted(set(weight_map.values()))}
    absent = [name for name, file in shards.items() if not file.is_file()]
    if absent:
        raise ValueError(f"{index}: names {absent[0]}, which is not there; copy it too")
    for name, file in shards.items():
        with open_tensors(file) as tensors:
            lacking = {n for n, f in weight_map.items() if f == name} - set(tensors.keys())
        if lacking:
            raise ValueError(f"{file}: lacks {min(lacking)}, which {index.name} says it holds")
    return set(shards.values())


def _adapter(path: Path, everything: Collection[Path]) -> LoraConfig | None:
    configs = [f for f in everything if f.name == "adapter_config.json"]
    if not configs:
        return None
    if len(configs) > 1:
        shown = ", ".join(str(c.parent) for c in configs)
        raise ValueError(f"{path}: holds several adapters ({shown}); name the folder of one")
    if not (configs[0].parent / "adapter_model.safetensors").is_file():
        raise ValueError(f"{configs[0]}: has no adapter_model.safetensors beside it; copy it too")
    config = PeftConfig.from_pretrained(str(configs[0].parent))
    if type(config) is not LoraConfig:
        raise ValueError(f"{configs[0]}: is a {config.peft_type.value} adapter; need plain LoRA")
    plain = LoraConfig(target_modules="any")
    special = {
        field.name: getattr(config, field.name)
        for field in fields(config)
        if field.name not in _HARMLESS and getattr(config, field.name) != getattr(plain, field.name)
    }
    if special or not config.target_modules:
        found = special or "no target_modules"
        raise ValueError(f"{configs[0]}: has {found}; need plain LoRA of named layers")
    return config


def _own_name(theirs: str, known: Collection[str]) -> str | None:
    """The parameter that a tensor of a release belongs to."""
    name = theirs.removeprefix("base_model.model.")
    name = name.replace("language_model.model.", "language_model.", 1)  # as in `_PREFIXES`
    name = name.removeprefix("thinker.")  # of Qwen2.5-Omni, whose language model was ``model``
    name = re.sub(r"^model\.layers\.", "model.language_model.layers.", name)
    name = re.sub(r"(\.lora_[AB])\.weight$", r"\1.default.weight", name)
    adapted = re.sub(r"\.(weight|bias)$", r".base_layer.\1", name)  # a layer with an adapter
    tries = [prefix + n for n in (name, adapted) for prefix in _PREFIXES]
    return next((t for t in tries if t in known), None)


def _read(places: dict[str, tuple[Path, str]]) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, (file, theirs) in places.items():
        with open_tensors(file) as opened:
            tensors[name] = opened.get_tensor(theirs)
    return tensors


def _plain(value):
    """The same as numbers, texts and lists, which YAML can write."""
    return value if isinstance(value, str | int | float) else sorted(value)
