"""A compact model that hears without torch: text around `speechqa_plugin.models.arrays`.

It offers what `speechqa_plugin.listening.Answerer` asks an `AudioLLM` for, greedily and on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from speechqa_plugin.activity import to_level
from speechqa_plugin.models.arrays import (
    SAMPLE_RATE_HZ,
    STEM_CHANNELS,
    ArrayNetwork,
    log_mel,
    log_softmax,
    n_frames,
    softmax,
)
from speechqa_plugin.models.compact_text import END, SOUND, TOKENIZER_FILE, render_turn
from speechqa_plugin.models.template import ScoreTemplate
from speechqa_plugin.samples import as_array

_PARTS = ("model.audio_tower", "model.language_model", "model.multi_modal_projector")


class UnknownModelError(ValueError):
    """No model that can be computed without torch; it may be one with it."""


@dataclass(frozen=True)
class Sizes:
    """The arguments of `CompactAudioFlamingo3`; see there."""

    encoder_dim: int = 192
    encoder_layers: int = 4
    encoder_heads: int = 4
    lm_dim: int = 256
    lm_layers: int = 4
    lm_heads: int = 4
    window_s: int = 10
    mel_bins: int = 80
    frame_ms: int = 20
    vocab_size: int = 2048
    dropout: float = 0.0
    seed: int = 1234
    stem: str = "conv1d"
    level_db: float | None = None
    types: Sequence[str] = ()


@dataclass(frozen=True)
class ArrayInputs:
    """B clips, each with what is said to it.

    Arguments
    ---------
    wavs : list of array
        B mono clips [T_i] at the level that the model hears them.
    prompts : list of str
        B instructions.
    begun : list of list of int
        B beginnings of answers, in tokens.
    """

    wavs: list[np.ndarray]
    prompts: list[str]
    begun: list[list[int]]

    def followed_by(self, ids: Sequence[Sequence[int]]) -> ArrayInputs:
        """The same, each with more tokens at its end."""
        begun = [[*old, *new] for old, new in zip(self.begun, ids, strict=True)]
        return replace(self, begun=begun)


@dataclass(frozen=True)
class Written:
    """B texts that were written greedily, as `Completions` of numpy.

    Arguments
    ---------
    ids : list of list of int
        Their tokens, end token included.
    finished : array
        [B] bool, false where the limit of new tokens cut the text.
    choice_ids : tuple of int
        C tokens that stand for numbers.
    choice_logps : array
        [B, T, C], their log-probabilities among themselves at each token; 0 on padding.
    """

    ids: list[list[int]]
    finished: np.ndarray
    choice_ids: tuple[int, ...]
    choice_logps: np.ndarray

    def rows(self) -> list[list[int]]:
        """Tokens of each text without its end token."""
        return [
            ids[:-1] if ended else ids for ids, ended in zip(self.ids, self.finished, strict=True)
        ]


class ArrayTokenizer:
    """The little of a tokenizer of transformers that is asked for."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.eos_token_id = tokenizer.token_to_id(END)

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Ids of a text."""
        return self.tokenizer.encode(text, add_special_tokens=add_special_tokens).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens included."""
        return self.tokenizer.decode(ids, skip_special_tokens=False)

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def batch_decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Text of each row."""
        return self.tokenizer.decode_batch(rows, skip_special_tokens=False)


class ArrayLLM:
    """A trained compact model in numpy.

    Arguments
    ---------
    path : str or Path
        Weights that `CompactAudioFlamingo3.save` wrote.
    sizes : Sizes
        What they were trained as.

    Raises
    ------
    UnknownModelError
        If they are not the weights of such a model; the class of that name says what is wrong.

    Example
    -------
    >>> from speechqa_plugin.models.compact import CompactAudioFlamingo3
    >>> path = getfixture("tmp_path") / "weights"
    >>> CompactAudioFlamingo3(32, 1, 2, 32, 1, 2, window_s=1).save(path)
    >>> llm = ArrayLLM(path, Sizes(32, 1, 2, 32, 1, 2, window_s=1))
    >>> inputs = llm.inputs([np.zeros(8000)], ["Rate this."])
    >>> llm.write(inputs, 4, (5, 6)).choice_logps.shape
    (1, 4, 2)
    """

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(self, path: str | Path, sizes: Sizes):
        self.sizes = sizes
        self.hop = SAMPLE_RATE_HZ * sizes.frame_ms // 1000
        self.max_audio_s = float(sizes.window_s)
        self.min_audio_s = 3 * sizes.frame_ms / 1000
        self.audio_token_s = 4 * sizes.frame_ms / 1000
        self.types = tuple(sizes.types)
        try:
            with safe_open(path, framework="np") as file:
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                metadata = file.metadata() or {}
        except (OSError, SafetensorError, TypeError) as err:  # TypeError: numpy has no bfloat16
            raise UnknownModelError(f"{path}: {err}") from err
        if {n: w.shape for n, w in weights.items()} != weight_shapes(sizes):
            raise UnknownModelError(f"{path}: other weights than those of {sizes}")
        weights = {n: np.asarray(w, np.float32) for n, w in weights.items()}
        text = metadata.get("tokenizer") or TOKENIZER_FILE.read_text(encoding="utf-8")
        self.tokenizer = ArrayTokenizer(Tokenizer.from_str(text))
        self.audio_token_id = self.tokenizer.tokenizer.token_to_id(SOUND)
        self.network = ArrayNetwork(
            weights, sizes.encoder_layers, sizes.encoder_heads, sizes.lm_layers, sizes.lm_heads
        )

    def template(self, texts: Sequence[str]) -> ScoreTemplate:
        """See `speechqa_plugin.models.template.ScoreTemplate.from_texts`."""
        return ScoreTemplate.from_texts(self.tokenizer, texts)

    def inputs(self, wavs: Sequence, prompts: Sequence[str]) -> ArrayInputs:
        """What to hear and what to say to it."""
        clips = [as_array(wav) for wav in wavs]
        level_db = self.sizes.level_db
        if level_db is not None:
            clips = [to_level(clip, SAMPLE_RATE_HZ, level_db) for clip in clips]
        return ArrayInputs(clips, list(prompts), [[] for _ in clips])

    @np.errstate(invalid="ignore", over="ignore")  # weights of nan show in the scores
    def fill_template(self, inputs: ArrayInputs, template: ScoreTemplate) -> np.ndarray:
        """See `speechqa_plugin.models.decoder.fill_template`; [B, D, 5]."""
        return np.array([list(self._fill(e, template)) for e in self._embeddings(inputs)])

    @np.errstate(invalid="ignore", over="ignore")
    def write(
        self,
        inputs: ArrayInputs,
        max_new_tokens: int,
        choice_ids: Sequence[int] = (),
        first_ids: Sequence[int] = (),
    ) -> Written:
        """See `speechqa_plugin.models.decoder.write`."""
        texts = [
            self._write(embeds, max_new_tokens, choice_ids, first_ids)
            for embeds in self._embeddings(inputs)
        ]
        ids = [[token for token, _ in text] for text in texts]
        finished = np.array([row[-1] == self.tokenizer.eos_token_id for row in ids])
        choices = np.zeros((len(ids), max(map(len, ids)), len(choice_ids)), np.float32)
        for row, text in zip(choices, texts, strict=True):
            row[: len(text)] = [among for _, among in text]
        return Written(ids, finished, tuple(choice_ids), choices)

    @np.errstate(invalid="ignore", over="ignore")
    def hear_types(self, inputs: ArrayInputs) -> list[np.ndarray]:
        """See `speechqa_plugin.models.audio_llm.AudioLLM.hear_types`."""
        return [self.network.hear_types(self._audio(wav)) for wav in inputs.wavs]

    def _fill(self, embeds: np.ndarray, template: ScoreTemplate) -> Iterator[np.ndarray]:
        read, embedding = self.network.reader(), self.network.embedding
        score_ids = np.array(template.score_ids)
        for segment in template.segments:
            logits = read(np.concatenate([embeds, embedding[list(segment)]]))
            probs = softmax(logits[score_ids])
            yield probs
            embeds = embedding[score_ids[[probs.argmax()]]]

    def _write(
        self,
        embeds: np.ndarray,
        max_new_tokens: int,
        choice_ids: Sequence[int],
        first_ids: Sequence[int],
    ) -> list[tuple[int, np.ndarray]]:
        """Tokens of a text, each with the log-probabilities of the choices among themselves."""
        read, text = self.network.reader(), []
        for _ in range(max_new_tokens):
            logits = read(embeds)
            logits[self.audio_token_id] = -np.inf
            token = int(logits.argmax())
            if first_ids and not text:
                token = first_ids[logits[list(first_ids)].argmax()]
            text.append((token, log_softmax(logits[list(choice_ids)]) if choice_ids else []))
            if token == self.tokenizer.eos_token_id:
                break
            embeds = self.network.embedding[[token]]
        return text

    def _embeddings(self, inputs: ArrayInputs) -> Iterator[np.ndarray]:
        """[P_i, H] of each prompt with its audio in it, and of the beginning of its answer."""
        embedding = self.network.embedding
        for wav, prompt, begun in zip(inputs.wavs, inputs.prompts, inputs.begun, strict=True):
            audio = self._audio(wav)
            ids = np.array(self.tokenizer.encode(render_turn(prompt, len(audio))) + begun)
            embeds = embedding[ids]
            embeds[ids == self.audio_token_id] = audio
            yield embeds

    def _audio(self, wav: np.ndarray) -> np.ndarray:
        """[K, H] audio tokens of a clip."""
        sizes = self.sizes
        features = log_mel(wav, sizes.window_s, sizes.mel_bins, self.hop)
        return self.network.audio_embeddings(features, n_frames(len(wav), self.hop))


def weight_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a compact model's weights."""
    audio, text = sizes.encoder_dim, sizes.lm_dim
    tower, words, projector = _PARTS
    positions = sizes.window_s * 1000 // sizes.frame_ms // 2
    shapes = {
        "lm_head.weight": (sizes.vocab_size, text),
        f"{words}.embed_tokens.weight": (sizes.vocab_size, text),
        f"{words}.norm.weight": (text,),
        f"{tower}.embed_positions.weight": (positions, audio),
        **_linear(f"{projector}.linear_1", text, audio),
        **_linear(f"{projector}.linear_2", text, text),
        **_norm(f"{tower}.layer_norm", audio),
        **_stem_shapes(sizes),
    }
    for i in range(sizes.encoder_layers):
        layer = f"{tower}.layers.{i}"
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= _norm(f"{layer}.{name}", audio)
        for name in ("q", "k", "v", "out"):
            shapes |= _linear(f"{layer}.self_attn.{name}_proj", audio, audio, name != "k")
        shapes |= _linear(f"{layer}.fc1", 4 * audio, audio)
        shapes |= _linear(f"{layer}.fc2", audio, 4 * audio)
    if sizes.types:
        shapes |= _linear("types", len(sizes.types), text)
    inner = 8 * text // 3
    for i in range(sizes.lm_layers):
        layer = f"{words}.layers.{i}"
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{layer}.{name}.weight"] = (text,)
        for name in ("q", "k", "v", "o"):
            shapes |= _linear(f"{layer}.self_attn.{name}_proj", text, text, name != "o")
        for name in ("gate", "up"):
            shapes |= _linear(f"{layer}.mlp.{name}_proj", inner, text, False)
        shapes |= _linear(f"{layer}.mlp.down_proj", text, inner, False)
    return shapes


def _stem_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    tower, dim = _PARTS[0], sizes.encoder_dim
    if sizes.stem == "conv1d":
        shapes = {f"{tower}.conv1.weight": (dim, sizes.mel_bins, 3)}
        shapes |= {f"{tower}.conv2.weight": (dim, dim, 3)}
        return shapes | {f"{tower}.conv{i}.bias": (dim,) for i in (1, 2)}
    shapes, bands, before = {}, sizes.mel_bins, 1
    for i, channels in enumerate(STEM_CHANNELS):
        shapes[f"{tower}.conv_stem.convs.{i}.weight"] = (channels, before, 3, 3)
        shapes[f"{tower}.conv_stem.convs.{i}.bias"] = (channels,)
        shapes |= _norm(f"{tower}.conv_stem.norms.{i}", channels)
        bands, before = (bands + 1) // 2, channels
    return shapes | _linear(f"{tower}.conv_stem.projection", dim, bands * before)


def _linear(name: str, out: int, dim: int, bias: bool = True) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, dim)} | ({f"{name}.bias": (out,)} if bias else {})


def _norm(name: str, dim: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}
