"""The compact model's network in numpy: what a command computes before torch would be imported.

Importing torch and the classes of transformers takes many times as long as hearing a file, and
half a gigabyte. The network is small enough to be written down once more: Whisper's encoder (or a
`ConvStem` before its layers), pooling by two, the projector, Qwen2. Each clip is computed by
itself, so that there is neither padding nor a mask. Training, GPUs and the published bases know
the classes of transformers alone; `tests/unit/test_models_arrays.py` holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SAMPLE_RATE_HZ = 16_000
N_FFT = 400
"""Of Whisper's feature extractor."""

MARGIN_FRAMES = 4
"""Mel frames behind a clip's end that convolutions reach."""

STEM_CHANNELS, STEM_HALVES_TIME = (16, 32, 48, 64), 1
"""Of `speechqa_plugin.models.conv_stem`: its blocks, and the one that halves the frames."""

ROPE_THETA = 10_000.0
RMS_EPS = 1e-6
LAYER_NORM_EPS = 1e-5
"""What Qwen2's configuration and torch's normalisations have if told nothing."""

Weights = Mapping[str, np.ndarray]


# --- features


def log_mel(wav: np.ndarray, window_s: int, mel_bins: int, hop: int) -> np.ndarray:
    """Whisper's features of a clip.

    Arguments
    ---------
    wav : array
        [T] float32 at `SAMPLE_RATE_HZ`; what is behind ``window_s`` is not heard.
    window_s : int
        Length of the model's window in seconds.
    mel_bins, hop : int
        M mel bands, and the samples between two frames.

    Returns
    -------
    array
        [M, F] float32: the clip's frames, one for each ``hop`` samples begun, and at most
        `MARGIN_FRAMES` of the silence behind it.

    Example
    -------
    >>> log_mel(np.zeros(16000, np.float32), 10, 80, 320).shape
    (80, 54)
    """
    wav = wav[: window_s * SAMPLE_RATE_HZ]
    frames = min(n_frames(len(wav), hop) + MARGIN_FRAMES, window_s * SAMPLE_RATE_HZ // hop)
    padded = np.zeros(window_s * SAMPLE_RATE_HZ, np.float32)
    padded[: len(wav)] = wav
    padded = np.pad(padded, N_FFT // 2, mode="reflect")[: (frames - 1) * hop + N_FFT]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    framed = sliding_window_view(padded, N_FFT)[::hop] * window.astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(framed, axis=1))).astype(np.float32)
    log = np.log10(np.maximum(power @ mel_filters(mel_bins), 1e-10))
    return (np.maximum(log, log.max() - 8) / 4 + 1).T


def n_frames(n_samples: int, hop: int) -> int:
    """Mel frames of a clip."""
    return -(-n_samples // hop)


@lru_cache
def mel_filters(mel_bins: int) -> np.ndarray:
    """[201, M] triangles on Slaney's mel scale, each of area one."""
    top_hz, knee_hz, knee_mel, log_step = SAMPLE_RATE_HZ / 2, 1000.0, 15.0, np.log(6.4) / 27
    top_mel = knee_mel + np.log(top_hz / knee_hz) / log_step
    mels = np.linspace(0, top_mel, mel_bins + 2)
    linear = mels * knee_hz / knee_mel
    edges = np.where(mels < knee_mel, linear, knee_hz * np.exp((mels - knee_mel) * log_step))
    distance = edges - np.linspace(0, top_hz, N_FFT // 2 + 1)[:, None]
    width = np.diff(edges)
    triangles = np.minimum(-distance[:, :-2] / width[:-1], distance[:, 2:] / width[1:])
    return (np.maximum(triangles, 0) * 2 / (edges[2:] - edges[:-2])).astype(np.float32)


# --- layers


def gelu(x: np.ndarray) -> np.ndarray:
    """The exact GELU, with the error function of Abramowitz and Stegun 7.1.26 (off by 1.5e-7)."""
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.float32(1.061405429) * t
    for term in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(term)) * t
    half_tail = np.float32(0.5) * series * np.exp(-z * z)  # of the normal distribution
    return x * np.where(x < 0, half_tail, 1 - half_tail)


def silu(x: np.ndarray) -> np.ndarray:
    """SiLU (swish)."""
    with np.errstate(over="ignore"):  # exp(88) and more: the result is 0, as it should be
        return x / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def log_softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def normalised(x: np.ndarray, axes: tuple[int, ...] = (-1,)) -> np.ndarray:
    """Mean 0 and variance 1 over some axes."""
    x = x - x.mean(axis=axes, keepdims=True)
    return x / np.sqrt(np.square(x).mean(axis=axes, keepdims=True) + np.float32(LAYER_NORM_EPS))


def rms_normalised(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Qwen2's normalisation."""
    return x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(RMS_EPS)) * weight


def conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, strides: Sequence[int]) -> np.ndarray:
    """Convolution with a kernel of 3 and padding of 1 along each axis.

    Arguments
    ---------
    x : array
        [C, ...] with one or two axes.
    weight : array
        [D, C, 3] or [D, C, 3, 3].
    bias : array
        [D].
    strides : sequence of int
        One for each axis.

    Returns
    -------
    array
        [D, ...].
    """
    axes = tuple(range(1, x.ndim))
    seen = sliding_window_view(np.pad(x, [(0, 0)] + [(1, 1)] * len(axes)), (3,) * len(axes), axes)
    seen = seen[(slice(None), *(slice(None, None, s) for s in strides))]
    shape = seen.shape[1 : x.ndim]
    columns = np.moveaxis(seen, 0, len(axes)).reshape(int(np.prod(shape)), -1)
    out = columns @ weight.reshape(len(weight), -1).T + bias
    return np.moveaxis(out.reshape(*shape, -1), -1, 0)


class Layer:
    """What a layer knows by name: ``layer("q_proj", x)`` is x through that linear layer."""

    def __init__(self, weights: Weights, prefix: str):
        self.weights, self.prefix = weights, prefix

    def __getitem__(self, name: str) -> np.ndarray:
        return self.weights[f"{self.prefix}.{name}"]

    def __call__(self, name: str, x: np.ndarray) -> np.ndarray:
        """[..., D] through a linear layer."""
        out = x @ self[f"{name}.weight"].T
        bias = self.weights.get(f"{self.prefix}.{name}.bias")
        return out if bias is None else out + bias

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        """[..., D] through a layer normalisation."""
        return normalised(x) * self[f"{name}.weight"] + self[f"{name}.bias"]


def attend(query: np.ndarray, keys: np.ndarray, values: np.ndarray, causal: bool) -> np.ndarray:
    """Attention of [heads, L, D] to [heads, K, D], the last L of which are the query's own."""
    scores = query @ keys.transpose(0, 2, 1)
    if causal and query.shape[1] > 1:
        length, width = scores.shape[1:]
        ahead = np.triu(np.ones((length, width), bool), k=width - length + 1)
        scores[:, ahead] = -np.inf
    return softmax(scores) @ values


def split_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """[L, heads * D] to [heads, L, D]."""
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)


def join_heads(x: np.ndarray) -> np.ndarray:
    """The way back."""
    return x.transpose(1, 0, 2).reshape(x.shape[1], -1)


# --- the network


class ArrayNetwork:
    """A compact model's weights, and what is computed with them.

    Arguments
    ---------
    weights : mapping from str to array
        By the names that they have in `CompactAudioFlamingo3`.
    encoder_layers, encoder_heads, lm_layers, lm_heads : int
        See there.
    """

    def __init__(
        self,
        weights: Weights,
        encoder_layers: int,
        encoder_heads: int,
        lm_layers: int,
        lm_heads: int,
    ):
        self.tower = Layer(weights, "model.audio_tower")
        self.projector = Layer(weights, "model.multi_modal_projector")
        self.types = weights.get("types.weight"), weights.get("types.bias")
        self.embedding = weights["model.language_model.embed_tokens.weight"]
        self.norm = weights["model.language_model.norm.weight"]
        self.head = weights["lm_head.weight"]
        self.encoder_layers = [
            Layer(weights, f"model.audio_tower.layers.{i}") for i in range(encoder_layers)
        ]
        self.lm_layers = [
            Layer(weights, f"model.language_model.layers.{i}") for i in range(lm_layers)
        ]
        self.encoder_heads, self.lm_heads = encoder_heads, lm_heads

    def audio_embeddings(self, features: np.ndarray, frames: int) -> np.ndarray:
        """[K, H] audio tokens of [M, F] mel frames, the first ``frames`` of which are a clip's."""
        hidden = self._stem(features, frames)[: (frames + 1) // 2]
        hidden = hidden + self.tower["embed_positions.weight"][: len(hidden)]
        for layer in self.encoder_layers:
            hidden = hidden + self._hear(layer, layer.norm("self_attn_layer_norm", hidden))
            inner = gelu(layer("fc1", layer.norm("final_layer_norm", hidden)))
            hidden = hidden + layer("fc2", inner)
        tokens = hidden[: len(hidden) // 2 * 2].reshape(-1, 2, hidden.shape[1]).mean(axis=1)
        tokens = self.tower.norm("layer_norm", tokens)
        return self.projector("linear_2", gelu(self.projector("linear_1", tokens)))

    def hear_types(self, audio: np.ndarray) -> np.ndarray:
        """[K, Y] logits of the types in [K, H] audio tokens."""
        weight, bias = self.types
        return audio @ weight.T + bias

    def _stem(self, features: np.ndarray, frames: int) -> np.ndarray:
        tower = self.tower
        if f"{tower.prefix}.conv1.weight" not in tower.weights:
            return self._conv_stem(features, frames)
        hidden = gelu(conv(features, tower["conv1.weight"], tower["conv1.bias"], (1,)))
        return gelu(conv(hidden, tower["conv2.weight"], tower["conv2.bias"], (2,))).T

    def _conv_stem(self, features: np.ndarray, frames: int) -> np.ndarray:
        """See `speechqa_plugin.models.conv_stem`."""
        tower, hidden = self.tower, features[None, :, :frames]
        for block in range(len(STEM_CHANNELS)):
            conv_, norm = (f"conv_stem.{part}.{block}" for part in ("convs", "norms"))
            strides = (2, 2 if block == STEM_HALVES_TIME else 1)
            hidden = conv(hidden, tower[f"{conv_}.weight"], tower[f"{conv_}.bias"], strides)
            hidden = normalised(hidden, axes=(0, 1))  # each frame by itself
            scale, shift = tower[f"{norm}.weight"], tower[f"{norm}.bias"]
            hidden = gelu(hidden * scale[:, None, None] + shift[:, None, None])
        return tower("conv_stem.projection", hidden.reshape(-1, hidden.shape[2]).T)

    def _hear(self, layer: Layer, x: np.ndarray) -> np.ndarray:
        query, keys, values = (
            split_heads(layer(f"self_attn.{name}_proj", x), self.encoder_heads) for name in "qkv"
        )
        query = query * np.float32(query.shape[2] ** -0.5)
        return layer("self_attn.out_proj", join_heads(attend(query, keys, values, causal=False)))

    def reader(self) -> Callable[[np.ndarray], np.ndarray]:
        """What reads [L, H] embeddings after those that it has read, and gives the [V] logits of
        the token that follows.
        """
        depth = self.embedding.shape[1] // self.lm_heads
        nothing = np.zeros((self.lm_heads, 0, depth), np.float32)
        cache = [(nothing, nothing)] * len(self.lm_layers)

        def read(embeds: np.ndarray) -> np.ndarray:
            rotation = _rotation(cache[0][0].shape[1], len(embeds), depth)
            hidden = embeds
            for i, layer in enumerate(self.lm_layers):
                # Of what the last layer makes, the last position alone is looked at.
                rest = slice(-1 if layer is self.lm_layers[-1] else None, None)
                hidden, cache[i] = self._read(layer, hidden, rotation, cache[i], rest)
            return self.head @ rms_normalised(hidden[-1], self.norm)

        return read

    def _read(
        self,
        layer: Layer,
        hidden: np.ndarray,
        rotation: np.ndarray,
        before: tuple[np.ndarray, np.ndarray],
        rest: slice,
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """A layer of the language model at some positions, and keys and values so far."""
        x = rms_normalised(hidden, layer["input_layernorm.weight"])
        query = split_heads(layer("self_attn.q_proj", x[rest]), self.lm_heads)
        keys, values = (split_heads(layer(f"self_attn.{n}_proj", x), self.lm_heads) for n in "kv")
        query = _rotated(query, rotation[:, rest]) * np.float32(query.shape[2] ** -0.5)
        keys = np.concatenate([before[0], _rotated(keys, rotation)], axis=1)
        values = np.concatenate([before[1], values], axis=1)
        seen = join_heads(attend(query, keys, values, causal=True))
        hidden = hidden[rest] + layer("self_attn.o_proj", seen)
        x = rms_normalised(hidden, layer["post_attention_layernorm.weight"])
        inner = silu(layer("mlp.gate_proj", x)) * layer("mlp.up_proj", x)
        return hidden + layer("mlp.down_proj", inner), (keys, values)


def _rotation(first: int, length: int, depth: int) -> np.ndarray:
    """[2, L, D / 2], cosines and sines of some positions (arXiv 2104.09864)."""
    frequencies = ROPE_THETA ** -(np.arange(0, depth, 2) / depth)
    angles = np.arange(first, first + length)[:, None] * frequencies
    return np.stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def _rotated(x: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    cos, sin = rotation
    half = x.shape[-1] // 2
    left, right = x[..., :half], x[..., half:]
    return np.concatenate([left * cos - right * sin, right * cos + left * sin], axis=-1)
