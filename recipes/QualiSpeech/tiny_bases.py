"""Folders like the hub's of the published bases, with random weights: everything that runs on a
base can be tried on a CPU in seconds, through the same classes and without a download.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import (
    AudioFlamingo3Config,
    AudioFlamingo3EncoderConfig,
    AudioFlamingo3ForConditionalGeneration,
    GenerationConfig,
    MusicFlamingoConfig,
    MusicFlamingoForConditionalGeneration,
    MusicFlamingoProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5OmniConfig,
    Qwen2_5OmniForConditionalGeneration,
    Qwen2AudioConfig,
    Qwen2AudioEncoderConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    Qwen2Config,
)

from speechqa_plugin.models.compact import (
    SOUND,
    TOKENIZER_FILE,
    compact_processor,
    wrap_tokenizer,
)
from speechqa_plugin.models.qwen25_omni import HearingProcessor

WINDOW_S = 2
"""Seconds of a window; the published bases' have 30."""
MAX_WINDOWS = 10
"""Windows of a clip, where the base can hear several."""
MEL_BINS = 16


def write_tiny_base(
    folder: str | os.PathLike, kind: str = "audio_flamingo_3", seed: int = 1234
) -> str:
    """Write a random base of under 200,000 parameters as ``save_pretrained`` writes a real one.

    It takes the package's own tokenizer. As some published bases' do, its generation config asks
    for sampling and for a penalty on repetition.

    Arguments
    ---------
    folder : str or path
        Where to write; what is there already is written over.
    kind : str
        ``audio_flamingo_3``, ``audio_flamingo_next``, ``qwen2_audio`` or ``qwen25_omni``.
    seed : int
        Seed of the weights; torch's global state is left as it was.

    Returns
    -------
    str
        The folder, for ``source`` of the base's class.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind is {kind!r}; need one of {', '.join(_KINDS)}")
    tokenizer = wrap_tokenizer(Tokenizer.from_file(str(TOKENIZER_FILE)))
    processor, model = _KINDS[kind](tokenizer, seed)
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=0.7, repetition_penalty=1.05
    )
    folder = str(Path(folder))
    processor.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def _audio_flamingo_3(tokenizer, seed):
    processor = compact_processor(tokenizer, WINDOW_S, MEL_BINS)
    processor.max_audio_len = MAX_WINDOWS * WINDOW_S
    config = AudioFlamingo3Config(
        audio_config=AudioFlamingo3EncoderConfig(**_ENCODER),
        text_config=_language_model(tokenizer),
        audio_token_id=processor.audio_token_id,
    )
    return processor, _random(AudioFlamingo3ForConditionalGeneration, config, seed)


def _audio_flamingo_next(tokenizer, seed):
    _add_tokens(tokenizer, "<|sound_bos|>", "<|sound_eos|>")
    like = compact_processor(tokenizer, WINDOW_S, MEL_BINS)
    processor = MusicFlamingoProcessor(
        like.feature_extractor,
        tokenizer,
        chat_template=like.chat_template,
        max_audio_len=MAX_WINDOWS * WINDOW_S,
    )
    config = MusicFlamingoConfig(
        audio_config=AudioFlamingo3EncoderConfig(**_ENCODER),
        text_config=_language_model(tokenizer),
        audio_token_id=processor.audio_token_id,
        audio_bos_token_id=processor.audio_bos_token_id,
        audio_eos_token_id=processor.audio_eos_token_id,
    )
    return processor, _random(MusicFlamingoForConditionalGeneration, config, seed)


def _qwen2_audio(tokenizer, seed):
    _add_tokens(tokenizer, "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>")
    like = compact_processor(tokenizer, WINDOW_S, MEL_BINS)
    processor = Qwen2AudioProcessor(like.feature_extractor, tokenizer)  # has a chat template
    config = Qwen2AudioConfig(
        audio_config=Qwen2AudioEncoderConfig(**_ENCODER),
        text_config=_language_model(tokenizer),
        audio_token_index=processor.audio_token_id,
    )
    return processor, _random(Qwen2AudioForConditionalGeneration, config, seed)


def _qwen25_omni(tokenizer, seed):
    """The whole of it, as it is published, but without what speaks."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens={
            "audio_token": "<|AUDIO|>",
            "image_token": "<|IMAGE|>",
            "video_token": "<|VIDEO|>",
            "audio_bos_token": "<|audio_bos|>",
            "audio_eos_token": "<|audio_eos|>",
            "vision_bos_token": "<|vision_bos|>",
        },
    )
    like = compact_processor(tokenizer, MAX_WINDOWS * WINDOW_S, MEL_BINS)
    template = like.chat_template.replace(SOUND, "<|audio_bos|><|AUDIO|><|audio_eos|>")
    processor = HearingProcessor(like.feature_extractor, tokenizer, chat_template=template)
    text = {name: getattr(_language_model(tokenizer), name) for name in _TEXT}
    # Half a head's angles are shared among time, height and width.
    text["rope_parameters"] = {
        "rope_type": "default",
        "rope_theta": 1e6,
        "mrope_section": [2, 3, 3],
    }
    config = Qwen2_5OmniConfig(
        thinker_config={
            "audio_config": _ENCODER
            | {"n_window": WINDOW_S * 50, "output_dim": text["hidden_size"]},
            "text_config": text,
            "vision_config": _EYES | {"out_hidden_size": text["hidden_size"]},
            "audio_token_index": tokenizer.audio_token_id,
            "image_token_index": tokenizer.image_token_id,
            "video_token_index": tokenizer.video_token_id,
            "vision_start_token_id": tokenizer.vision_bos_token_id,
        },
        enable_audio_output=False,
    )
    return processor, _random(Qwen2_5OmniForConditionalGeneration, config, seed)


_KINDS = {
    "audio_flamingo_3": _audio_flamingo_3,
    "audio_flamingo_next": _audio_flamingo_next,
    "qwen2_audio": _qwen2_audio,
    "qwen25_omni": _qwen25_omni,
}

_ENCODER = {
    "num_mel_bins": MEL_BINS,
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "max_source_positions": WINDOW_S * 50,
    "initializer_range": 0.25,  # width^-0.5, see `speechqa_plugin.models.compact`
}


_EYES = {
    "depth": 1,
    "hidden_size": 16,
    "num_heads": 2,
    "intermediate_size": 16,
    "fullatt_block_indexes": [0],
}

_TEXT = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "intermediate_size",
    "initializer_range",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)
"""What Qwen2.5-Omni's language model and Qwen2 have in common."""


def _language_model(tokenizer) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=64,
        initializer_range=0.18,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _add_tokens(tokenizer, *tokens: str) -> None:
    tokenizer.add_special_tokens({"additional_special_tokens": list(tokens)})


def _random(model_class, config, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config)
