"""What every base model offers to training, GRPO, evaluation and inference: `AudioLLM`.

The classes below it only say how a base is loaded and what its parts are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    mark_as_transfer,
    register_checkpoint_hooks,
)
from torch import Tensor, nn
from transformers import DynamicCache, GenerationConfig, LogitsProcessor, LogitsProcessorList

from speechqa_plugin.models.inputs import ModelInputs, build_inputs
from speechqa_plugin.models.template import ScoreTemplate


@dataclass(frozen=True)
class Generation:
    """What a model wrote for B prompts.

    Arguments
    ---------
    ids : list of list of int
        Tokens without end token and padding.
    texts : list of str
        The same, decoded.
    score_probs : list of Tensor
        For each prompt [T_i, 5]: at every token, the probabilities of the five score tokens
        among themselves.
    finished : list of bool
        False where the limit of new tokens cut the answer.
    """

    ids: list[list[int]]
    texts: list[str]
    score_probs: list[Tensor]
    finished: list[bool]


@register_checkpoint_hooks
class AudioLLM(nn.Module):
    """An audio encoder, a projector and a causal language model, with their processor.

    Arguments
    ---------
    model : transformers.PreTrainedModel
        The network, parts to be trained already set to require gradients.
    processor : transformers.ProcessorMixin
        Its processor.
    state_names : sequence of str
        Names of the parameters and buffers that a checkpoint holds: what training changes, or all
        of it where nothing else could bring the rest back.
    init_args : dict
        Arguments of the subclass's constructor, for an export to write down.

    Raises
    ------
    ValueError
        If attention is ``eager``: it misreads boolean masks.
    """

    lora_targets: str
    """Regular expression of the language model's layers that an adapter goes to."""
    max_audio_s: float
    """Longest clip that one prompt can hold, in seconds."""
    min_audio_s: float
    """Shortest clip that yields an audio token, in seconds."""

    def __init__(self, model, processor, state_names: Sequence[str], init_args: dict):
        super().__init__()
        attention = model.config._attn_implementation
        if attention == "eager":
            raise ValueError(
                "attention implementation is 'eager', which adds boolean masks as numbers; load "
                "the model with attn_implementation='sdpa'"
            )
        self.model = model
        self.processor = processor
        self.state_names = tuple(state_names)
        self.init_args = dict(init_args)
        # The published configs sample and penalise repetition, which pushes down a digit that was
        # used before. What is left unset here would be filled in from there.
        model.generation_config = GenerationConfig(
            do_sample=False,
            repetition_penalty=1.0,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
            suppress_tokens=[self.audio_token_id],
        )

    @property
    def tokenizer(self):
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @property
    def audio_token_id(self) -> int:
        """Placeholder that audio embeddings replace; it must never be sampled."""
        return self.processor.audio_token_id

    @property
    def sample_rate_hz(self) -> int:
        """Rate at which clips are expected."""
        return self.processor.feature_extractor.sampling_rate

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    def encoder(self) -> nn.Module:
        """The audio encoder."""
        raise NotImplementedError

    def audio_embeddings(self, inputs: ModelInputs) -> Tensor:
        """Encode and project windows.

        Arguments
        ---------
        inputs : ModelInputs
            W windows, and the prompts that they belong to.

        Returns
        -------
        Tensor
            [K, H], the K audio tokens of all windows in order.
        """
        raise NotImplementedError

    def inputs(
        self,
        wavs: Sequence[Tensor],
        prompts: Sequence[str],
        answers: Sequence[str] | None = None,
    ) -> ModelInputs:
        """See `speechqa_plugin.models.inputs.build_inputs`; the tensors are on the CPU."""
        return build_inputs(self.processor, wavs, prompts, answers)

    def template(self, texts: Sequence[str]) -> ScoreTemplate:
        """See `speechqa_plugin.models.template.ScoreTemplate.from_texts`."""
        return ScoreTemplate.from_texts(self.tokenizer, texts)

    def embed_prompt(self, inputs: ModelInputs) -> Tensor:
        """[B, P, H] prompt embeddings with the audio in its place."""
        embeds = self.model.get_input_embeddings()(inputs.prompt_ids)
        audio = self.audio_embeddings(inputs)
        is_audio = inputs.prompt_ids == self.audio_token_id
        if int(is_audio.sum()) != audio.shape[0]:
            raise ValueError(
                f"the prompts have {int(is_audio.sum())} audio tokens, the clips {audio.shape[0]}"
            )
        return embeds.masked_scatter(is_audio.unsqueeze(-1), audio.to(embeds.dtype))

    def forward(self, inputs: ModelInputs) -> Tensor:
        """Predict each answer token from the audio, the prompt and the answer before it.

        Arguments
        ---------
        inputs : ModelInputs
            With answers.

        Returns
        -------
        Tensor
            [B, A, V] logits; column a predicts ``inputs.answer_ids[:, a]``.
        """
        answer_embeds = self.model.get_input_embeddings()(inputs.answer_ids[:, :-1])
        embeds = torch.cat([self.embed_prompt(inputs), answer_embeds.to(self.dtype)], dim=1)
        mask = torch.cat([inputs.prompt_mask, inputs.answer_mask[:, :-1]], dim=1)
        hidden = self.model.get_decoder()(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=_positions(mask),
            use_cache=False,
        ).last_hidden_state
        return self.model.get_output_embeddings()(hidden[:, -inputs.answer_ids.shape[1] :])

    @property
    def dtype(self) -> torch.dtype:
        """Type of the language model's embeddings."""
        return self.model.get_input_embeddings().weight.dtype

    @torch.no_grad()
    def generate(self, inputs: ModelInputs, score_ids: Sequence[int], max_new_tokens: int):
        """Let the model write, greedily, until its end token.

        Arguments
        ---------
        inputs : ModelInputs
            Without answers.
        score_ids : sequence of int
            The five score tokens, see `ScoreTemplate`.
        max_new_tokens : int
            Limit, at least 1.

        Returns
        -------
        Generation
        """
        recorder = _ScoreRecorder(score_ids)
        rows = self.model.generate(
            inputs_embeds=self.embed_prompt(inputs),
            attention_mask=inputs.prompt_mask,
            max_new_tokens=max_new_tokens,
            logits_processor=LogitsProcessorList([recorder]),
        ).tolist()
        probs = torch.stack(recorder.steps, dim=1).cpu()
        end = self.tokenizer.eos_token_id
        lengths = [row.index(end) if end in row else len(row) for row in rows]
        ids = [row[:n] for row, n in zip(rows, lengths, strict=True)]
        return Generation(
            ids,
            self.tokenizer.batch_decode(ids),
            [p[:n] for p, n in zip(probs, lengths, strict=True)],
            [end in row for row in rows],
        )

    @torch.no_grad()
    def fill_template(self, inputs: ModelInputs, template: ScoreTemplate) -> Tensor:
        """Decode with everything but the scores given: only legal answers can come out.

        Each score is chosen greedily given the ones chosen before it, as in free decoding.

        Arguments
        ---------
        inputs : ModelInputs
            Without answers.
        template : ScoreTemplate
            The fixed tokens around D scores.

        Returns
        -------
        Tensor
            [B, D, 5] probabilities of scores 1 to 5 (float32, on the CPU).
        """
        size = inputs.prompt_ids.shape[0]
        embedding = self.model.get_input_embeddings()
        score_ids = torch.tensor(template.score_ids, device=self.device)
        cache = DynamicCache(config=self.model.config.get_text_config())
        embeds = self.embed_prompt(inputs)
        mask = inputs.prompt_mask
        chosen = None
        steps = []
        for segment in template.segments:
            fed = torch.tensor(segment, device=self.device, dtype=torch.long).expand(size, -1)
            if chosen is not None:
                fed = torch.cat([chosen, fed], dim=1)
                embeds = embedding(fed)
            else:
                embeds = torch.cat([embeds, embedding(fed).to(embeds.dtype)], dim=1)
            mask = torch.cat([mask, mask.new_ones(fed.shape)], dim=1)
            hidden = self.model.get_decoder()(
                inputs_embeds=embeds,
                attention_mask=mask,
                position_ids=_positions(mask)[:, -embeds.shape[1] :],
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state
            logits = self.model.get_output_embeddings()(hidden[:, -1])
            probs = logits[:, score_ids].float().softmax(dim=-1)
            chosen = score_ids[probs.argmax(dim=-1)].unsqueeze(1)
            steps.append(probs)
        return torch.stack(steps, dim=1).cpu()

    @mark_as_saver
    def save(self, path) -> None:
        """Write the weights of `state_names` as safetensors, with what they need to be read."""
        state = self.model.state_dict()
        tensors = {n: state[n].detach().cpu().contiguous() for n in self.state_names}
        save_file(tensors, path, metadata=self._metadata())

    @mark_as_loader
    def load(self, path, end_of_epoch: bool = True) -> None:
        """Read what `save` wrote into this model.

        Arguments
        ---------
        path : str or Path
            File that `save` wrote.
        end_of_epoch : bool
            Not used; part of SpeechBrain's hook.

        Raises
        ------
        ValueError
            If the file is no whole safetensors file, or its names or shapes are not those of
            this model, which then stays as it was.
        """
        del end_of_epoch
        state = self.model.state_dict()
        wanted = {n: tuple(state[n].shape) for n in self.state_names}
        with open_tensors(path) as file:
            metadata = file.metadata() or {}
            found = {n: tuple(file.get_slice(n).get_shape()) for n in file.keys()}  # noqa: SIM118
            if found != wanted:
                differ = sorted(n for n in {*found, *wanted} if found.get(n) != wanted.get(n))
                shown = ", ".join(f"{n}: {found.get(n)}, need {wanted.get(n)}" for n in differ[:3])
                raise ValueError(
                    f"{path}: {len(differ)} of {len(wanted)} tensors do not fit this model "
                    f"({shown}; written with transformers {metadata.get('transformers')}); use "
                    "the hyperparameters that the weights were trained with"
                )
            with torch.no_grad():
                for name in self.state_names:
                    state[name].copy_(file.get_tensor(name))
        self._read_metadata(metadata)

    @mark_as_transfer
    def load_for_inference(self, path) -> None:
        """What SpeechBrain's `Pretrainer` calls."""
        self.load(path)

    def _metadata(self) -> dict[str, str]:
        return {"transformers": transformers.__version__, "base": type(self).__name__}

    def _read_metadata(self, metadata: dict[str, str]) -> None:
        """Hook for a base that keeps more than tensors in its file."""


class _ScoreRecorder(LogitsProcessor):
    """Notes the score tokens' probabilities at every step and changes nothing."""

    def __init__(self, score_ids: Sequence[int]):
        self.score_ids = list(score_ids)
        self.steps: list[Tensor] = []

    def __call__(self, input_ids, scores):
        self.steps.append(scores[:, self.score_ids].float().softmax(dim=-1))
        return scores


def open_tensors(path):
    """Open a safetensors file.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    safetensors.safe_open
        For a ``with``.

    Raises
    ------
    ValueError
        If it is no whole safetensors file.
    """
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as err:
        raise ValueError(
            f"{path}: is no whole safetensors file ({err}); copy or export it again"
        ) from err


def _positions(mask: Tensor) -> Tensor:
    """[B, T] position of each token in its own row, 0 on left padding."""
    return (mask.cumsum(dim=-1) - 1).clamp(min=0)
