"""A compact model that hears without torch: text around `speechqa_plugin.models.arrays`.

It offers what `speechqa_plugin.listening.Answerer` asks an `AudioLLM` for, greedily and on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
    n_frames,
)
from speechqa_plugin.models.compact_text import END, PAD, SOUND, TOKENIZER_FILE, render_turn
from speechqa_plugin.models.template import ScoreTemplate
from speechqa_plugin.samples import as_array


_PARTS = ("model.audio_tower", "model.language_model", "model.multi_modal_projector")


class UnknownModelError(ValueError):
    """This is no model that can be computed without torch; it may be one with it."""


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
        self.audio_token_id, self.pad_id = map(
            self.tokenizer.tokenizer.token_to_id, (SOUND, PAD)
        )
        self.network = ArrayNetwork(
            weights, sizes.encoder_layers, sizes.encoder_heads, sizes.lm_layers, sizes.lm_heads
        )

    def template(self, texts: Sequence[str]) -> ScoreTemplate:
        """See `speechqa_plugin.models.template.ScoreTemplate.from_texts`."""
        return ScoreTemplate.from_texts(self.tokenizer, texts)

    def inputs(self, wavs: Sequence, prompts: Sequence[str]) -> list[tuple[np.ndarray, str]]:
        """B clips, each with its prompt, at the level that the model hears them."""
        clips = [as_array(wav) for wav in wavs]
        level_db = self.sizes.level_db
        if level_db is not None:
            clips = [to_level(clip, SAMPLE_RATE_HZ, level_db) for clip in clips]
        return list(zip(clips, prompts, strict=True))

    def fill_template(
        self, inputs: Sequence[tuple[np.ndarray, str]], template: ScoreTemplate
    ) -> np.ndarray:
        """See `speechqa_plugin.models.decoder.fill_template`; [B, D, 5]."""
        return np.array([list(self._fill(*one, template)) for one in inputs])

    def write(
        self,
        inputs: Sequence[tuple[np.ndarray, str]],
        max_new_tokens: int,
        choice_ids: Sequence[int],
    ) -> Written:
        """See `speechqa_plugin.models.decoder.write`."""
        ids = []
        choices = np.zeros((len(inputs), max_new_tokens, len(choice_ids)), np.float32)
        for (wav, prompt), row in zip(inputs, choices, strict=True):
            ids.append(list(self._write(wav, prompt, row, choice_ids)))
        finished = np.array([row[-1] == self.tokenizer.eos_token_id for row in ids])
        width = max(map(len, ids))
        return Written(ids, finished, tuple(choice_ids), choices[:, :width])

    def _fill(self, wav: np.ndarray, prompt: str, template: ScoreTemplate) -> Iterator[np.ndarray]:
        read, embeds = self.network.reader(), self._embed(wav, prompt)
        embedding, score_ids = self.network.embedding, np.array(template.score_ids)
        for segment in template.segments:
            logits = read(np.concatenate([embeds, embedding[list(segment)]]))[score_ids]
            probs = np.exp(logits - logits.max())
            yield probs / probs.sum()
            embeds = embedding[score_ids[[probs.argmax()]]]

    def _write(
        self, wav: np.ndarray, prompt: str, choices: np.ndarray, choice_ids: Sequence[int]
    ) -> Iterator[int]:
        read, embeds = self.network.reader(), self._embed(wav, prompt)
        for step in range(len(choices)):
            logits = read(embeds)
            logits[self.audio_token_id] = -np.inf
            among = logits[list(choice_ids)]
            among = among - among.max()
            choices[step] = among - np.log(np.exp(among).sum())
            token = int(logits.argmax())
            yield token
            if token == self.tokenizer.eos_token_id:
                return
            embeds = self.network.embedding[[token]]

    def _embed(self, wav: np.ndarray, prompt: str) -> np.ndarray:
        """[P, H] a prompt's embeddings with the audio in its place."""
        sizes, frames = self.sizes, n_frames(len(wav), self.hop)
        features = log_mel(wav, sizes.window_s, sizes.mel_bins, self.hop)
        audio = self.network.audio_embeddings(features, frames)
        ids = np.array(self.tokenizer.encode(render_turn(prompt, len(audio))))
        embeds = self.network.embedding[ids]
        embeds[ids == self.audio_token_id] = audio
        return embeds


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
