"""A judge in this process: a language model of transformers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property

from speechqa_plugin.judges.base import Reply, TextJudge

MAX_NEW_TOKENS = 16
"""Room for a grade and its dressing; who has not said it by then does not keep to the question."""


class LocalJudge(TextJudge):
    """Asks a causal language model, greedily; thinking is switched off where its template can.

    Nothing is loaded before the first prompt. On several processes each has its own.

    Arguments
    ---------
    source : str or path
        Local folder or hub id of an instruct model with a chat template.
    batch_size : int
        Prompts in one forward pass.
    device : str
        Where the model goes.
    dtype : str
        Type of its weights; ``auto`` is that of the files.

    Example
    -------
    >>> LocalJudge("HuggingFaceTB/SmolLM2-135M-Instruct").judge([])
    []
    """

    def __init__(
        self,
        source: str | os.PathLike,
        batch_size: int = 16,
        device: str = "cpu",
        dtype: str = "auto",
    ):
        self.source = os.fspath(source)
        super().__init__(f"judge {self.source}")
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype

    def ask(self, prompts: Sequence[str]) -> list[Reply]:
        """See `TextJudge`."""
        starts = range(0, len(prompts), self.batch_size)
        return [t for i in starts for t in self._write(prompts[i : i + self.batch_size])]

    @cached_property
    def _parts(self):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.source, padding_side="left")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        model = AutoModelForCausalLM.from_pretrained(self.source, dtype=self.dtype)
        return tokenizer, model.to(self.device).eval().requires_grad_(False)

    def _write(self, prompts: Sequence[str]) -> list[Reply]:
        import torch
        from transformers import GenerationConfig

        tokenizer, model = self._parts
        chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
        inputs = tokenizer.apply_chat_template(
            chats,
            add_generation_prompt=True,
            padding=True,
            return_dict=True,
            return_tensors="pt",
            enable_thinking=False,
        ).to(model.device)
        greedy = GenerationConfig(
            do_sample=False,
            # What is left unset would be filled in from the model's own file. All digits stand in
            # the question: a penalty on repeating them would choose among grades.
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            max_new_tokens=MAX_NEW_TOKENS,
            eos_token_id=model.generation_config.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        rows = model.generate(**inputs, generation_config=greedy)
        rows = rows[:, inputs["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(rows, skip_special_tokens=True)
        ends = torch.tensor(greedy.eos_token_id).to(rows)
        finished = torch.isin(rows, ends).any(dim=1).tolist()
        return [Reply(*one) for one in zip(texts, finished, strict=True)]
