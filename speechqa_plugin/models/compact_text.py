"""The compact model's tokens and chat format; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path

TOKENIZER_FILE = Path(__file__).with_name("compact_tokenizer.json")
"""Made by `train_tokenizer` from the simulator's answers; see recipes/SimulatedSQA."""

PAD, END, START, SOUND = "<|endoftext|>", "<|im_end|>", "<|im_start|>", "<sound>"

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% for c in m.content if c.type == 'audio' %}<sound>{% endfor %}"
    "{% for c in m.content if c.type == 'text' %}{{ c.text }}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Template, as transformers takes it."""

CHAT_FRAME = "user\n{}\nassistant\n"
"""What `CHAT` puts around an instruction, special tokens aside."""


def render_turn(prompt: str, n_audio: int) -> str:
    r"""A user's turn and the start of the answer, as `CHAT` gives it.

    Arguments
    ---------
    prompt : str
        The instruction.
    n_audio : int
        Audio tokens before it.

    Example
    -------
    >>> render_turn("Rate this.", 1)
    '<|im_start|>user\n<sound>Rate this.<|im_end|>\n<|im_start|>assistant\n'
    """
    return f"{START}user\n{SOUND * n_audio}{prompt}{END}\n{START}assistant\n"
