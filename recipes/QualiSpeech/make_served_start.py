#!/usr/bin/env python3
"""Split an exported model into what a server holds all the time and what GRPO trains.

For ``hparams/grpo_af3_served.yaml``. Run it by itself::

    python make_served_start.py results/reasoning_sft_af3/1234/exported results/served_start

Makes ``base``, the base model with the trained encoder and projector in it, as transformers and
vLLM read it, and ``audio_llm.ckpt``, the adapter alone.
"""

import argparse
from pathlib import Path

from safetensors.torch import save_file

from speechqa_plugin.inference import SpeechQualityAssessor


def make_served_start(exported, folder):
    """Write both parts.

    Arguments
    ---------
    exported : path
        Folder of an exported model on a published base.
    folder : path
        Made if it is not there; files of the same names are written over.
    """
    folder = Path(folder)
    audio_llm = SpeechQualityAssessor.from_hparams(source=str(exported)).answerer.audio_llm
    if audio_llm.init_args.get("layer_mix"):
        raise ValueError(f"{exported}: was trained with layer_mix, which no server knows")
    state = {name: tensor.contiguous() for name, tensor in audio_llm.model.state_dict().items()}
    adapter = {name: tensor for name, tensor in state.items() if ".lora_" in name}
    base = {
        name.replace(".base_layer.", "."): tensor.to(audio_llm.dtype)
        for name, tensor in state.items()
        if name not in adapter
    }
    audio_llm.model.save_pretrained(folder / "base", state_dict=base)
    audio_llm.processor.save_pretrained(folder / "base")
    save_file(adapter, folder / "audio_llm.ckpt")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exported", help="folder of the exported model")
    parser.add_argument("folder", help="where to write the parts")
    make_served_start(**vars(parser.parse_args()))
