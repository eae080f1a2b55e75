"""The compact model: Audio Flamingo 3 made small.

Same network classes, same processor, same chat format; only the sizes, the tokenizer and the
window differ, so what runs here is what runs with the 8B weights. On request the audio tower
begins with a stem of its own instead of Whisper's two convolutions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import (
    AudioFlamingo3Config,
    AudioFlamingo3EncoderConfig,
    AudioFlamingo3ForConditionalGeneration,
    AudioFlamingo3Processor,
    PreTrainedTokenizerFast,
    Qwen2Config,
    WhisperFeatureExtractor,
)
from transformers.models.whisper.modeling_whisper import sinusoids

from speechqa_plugin.activity import to_level
from speechqa_plugin.models.compact_text import (
    CHAT,
    END,
    PAD,
    SOUND,
    START,
    TOKENIZER_FILE,
)
from speechqa_plugin.models.conv_stem import ConvStem
from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.models.whisper_like import WhisperLikeLLM
from speechqa_plugin.samples import SAMPLE_RATE_HZ, as_array

_PIECES = Regex(r"\p{N}|[^\p{N}\n.]*[\n.]|[^\p{N}\n.]+")
"""Digits alone, so that a score is one token; else up to the end of a sentence or line.

Tokens may span words: answers are made of recurring phrases, and every token that is saved is a
step saved, in training and in writing.
"""

POSITION_SCALE = 0.2
"""Amplitude of the encoder's fixed sinusoidal positions. Whisper's is 1, beside features of trained
convolutions; ours start small and would drown. For the same reason the initial weights have a
standard deviation of width^-0.5: transformers' default of .02 is made for widths in the thousands.
"""


class CompactAudioFlamingo3(WhisperLikeLLM):
    """A randomly initialised Audio Flamingo 3 of a few million parameters, trained in full.

    Arguments
    ---------
    encoder_dim, encoder_layers, encoder_heads : int
        Width, depth and heads of the audio encoder.
    lm_dim, lm_layers, lm_heads : int
        The same of the language model.
    window_s : int
        Longest clip in seconds; there is one window.
    mel_bins : int
        Mel bands of the input.
    frame_ms : int
        Shift of the mel frames; an audio token covers four of them. The published models' 10 ms
        cost twice the time.
    vocab_size : int
        Rows of the language model's embedding, at least as many as the tokenizer has tokens.
    dropout : float
        In the encoder's blocks and the language model's attention.
    seed : int
        Seed of the initial weights; torch's global state is left as it was.
    stem : str
        What the audio encoder begins with: ``conv1d``, the published model's two convolutions, or
        ``conv2d``, a `ConvStem`.
    level_db : float, optional
        Active speech level (ITU-T P.56, in dB of full scale) that each clip is brought to before
        it is heard, so that its level tells nothing. Heard as it is if not given.
    types : sequence of str
        Names of the types of artifacts that a linear layer on the audio tokens hears, see
        `hear_types`; none for a model that only writes what it hears. Until it is set, as
        `speechqa_plugin.brains.hearing.settle_types` does, the layer hears nothing.

    Raises
    ------
    ValueError
        If the stem is another one.

    Example
    -------
    >>> model = CompactAudioFlamingo3(32, 1, 2, 32, 1, 2, window_s=1)
    >>> inputs = model.inputs([torch.zeros(8000)], ["Rate this."], ["mos: 3"])
    >>> model(inputs).shape[:2] == inputs.answer_ids.shape
    True
    """

    def __init__(
        self,
        encoder_dim: int = 192,
        encoder_layers: int = 4,
        encoder_heads: int = 4,
        lm_dim: int = 256,
        lm_layers: int = 4,
        lm_heads: int = 4,
        window_s: int = 10,
        mel_bins: int = 80,
        frame_ms: int = 20,
        vocab_size: int = 2048,
        dropout: float = 0.0,
        seed: int = 1234,
        stem: str = "conv1d",
        level_db: float | None = None,
        types: Sequence[str] = (),
    ):
        sizes = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        if stem not in ("conv1d", "conv2d"):
            raise ValueError(f"stem is {stem!r}; need conv1d or conv2d")
        if stem == "conv1d":  # so that exports load where stems are not known
            del sizes["stem"]
        if level_db is None:
            del sizes["level_db"]
        sizes["types"] = list(types)
        if not types:
            del sizes["types"]
        processor = compact_processor(compact_tokenizer(), window_s, mel_bins, frame_ms)
        audio = AudioFlamingo3EncoderConfig(
            num_mel_bins=mel_bins,
            hidden_size=encoder_dim,
            num_hidden_layers=encoder_layers,
            num_attention_heads=encoder_heads,
            intermediate_size=4 * encoder_dim,
            max_source_positions=window_s * 1000 // frame_ms // 2,
            dropout=dropout,
            initializer_range=encoder_dim**-0.5,
        )
        text = Qwen2Config(
            vocab_size=vocab_size,
            hidden_size=lm_dim,
            num_hidden_layers=lm_layers,
            num_attention_heads=lm_heads,
            num_key_value_heads=lm_heads,
            intermediate_size=8 * lm_dim // 3,  # three matrices; Qwen2's own ratio lies near it
            attention_dropout=dropout,
            initializer_range=lm_dim**-0.5,
            bos_token_id=None,
            eos_token_id=processor.tokenizer.eos_token_id,
            pad_token_id=processor.tokenizer.pad_token_id,
        )
        config = AudioFlamingo3Config(
            audio_config=audio, text_config=text, audio_token_id=processor.audio_token_id
        )
        config._attn_implementation = "sdpa"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = AudioFlamingo3ForConditionalGeneration(config)
            if stem == "conv2d":
                tower = model.model.audio_tower
                tower.conv_stem = ConvStem(mel_bins, encoder_dim)
                del tower.conv1, tower.conv2
            if types:
                model.types = nn.Linear(lm_dim, len(types))
                model.types.requires_grad_(False)  # it is set, not trained
                nn.init.zeros_(model.types.weight)
                nn.init.constant_(model.types.bias, -1)
        positions = model.model.audio_tower.embed_positions
        with torch.no_grad():
            positions.weight.copy_(POSITION_SCALE * sinusoids(*positions.weight.shape))
        super().__init__(model, processor, list(model.state_dict()), sizes)
        self.min_audio_s = 3 * frame_ms / 1000  # frames of the first audio token
        self.level_db = level_db
        self.types = tuple(types)

    def inputs(
        self,
        wavs: Sequence[Tensor],
        prompts: Sequence[str],
        answers: Sequence[str] | None = None,
    ) -> ModelInputs:
        """See `AudioLLM.inputs`; the clips are brought to ``level_db`` first."""
        if self.level_db is not None:
            wavs = [to_level(as_array(w), self.sample_rate_hz, self.level_db) for w in wavs]
        return super().inputs(wavs, prompts, answers)

    def _begin(self, features: Tensor, lengths: Tensor) -> Tensor:
        stem = getattr(self.encoder(), "conv_stem", None)
        return super()._begin(features, lengths) if stem is None else stem(features, lengths)

    def _metadata(self) -> dict[str, str]:
        tokenizer = self.tokenizer.backend_tokenizer.to_str()
        return {**super()._metadata(), "tokenizer": tokenizer}

    def _read_metadata(self, metadata: dict[str, str]) -> None:
        """Weights mean nothing without the tokenizer they were trained with."""
        if "tokenizer" in metadata:
            self.processor.tokenizer = wrap_tokenizer(Tokenizer.from_str(metadata["tokenizer"]))


def compact_processor(
    tokenizer, window_s: int, mel_bins: int, frame_ms: int = 10
) -> AudioFlamingo3Processor:
    """Processor of a compact model.

    Arguments
    ---------
    tokenizer : PreTrainedTokenizerFast
        From `compact_tokenizer` or `wrap_tokenizer`.
    window_s : int
        Length of the only window in seconds.
    mel_bins : int
        Mel bands.
    frame_ms : int
        Shift of the mel frames.

    Returns
    -------
    AudioFlamingo3Processor
    """
    features = WhisperFeatureExtractor(
        feature_size=mel_bins,
        sampling_rate=SAMPLE_RATE_HZ,
        hop_length=SAMPLE_RATE_HZ * frame_ms // 1000,
        chunk_length=window_s,
    )
    return AudioFlamingo3Processor(
        features, tokenizer, chat_template=CHAT, audio_token=SOUND, max_audio_len=window_s
    )


@lru_cache
def compact_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer that ships with the package.

    Returns
    -------
    PreTrainedTokenizerFast

    Example
    -------
    >>> compact_tokenizer().decode(compact_tokenizer().encode("noise: 4"))
    'noise: 4'
    """
    return wrap_tokenizer(Tokenizer.from_file(str(TOKENIZER_FILE)))


def wrap_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """Give a trained tokenizer the special tokens' roles."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def train_tokenizer(texts: Iterable[str], vocab_size: int = 2048) -> Tokenizer:
    """Byte-pair encoding over bytes, so that any text can be written (arXiv 1508.07909).

    Arguments
    ---------
    texts : iterable of str
        Prompts (in `compact_text.CHAT_FRAME`) and answers of a corpus.
    vocab_size : int
        Upper limit of the number of tokens.

    Returns
    -------
    tokenizers.Tokenizer
        Its file is written by ``.save(path)``.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_PIECES, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(t, special=True) for t in (PAD, END, START, SOUND)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
