"""What every base model offers to training, GRPO, evaluation and inference: `AudioLLM`.

The classes below it only say how a base is loaded and what its parts are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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

from speechqa_plugin.models.inputs import ModelInputs, build_inputs, token_positions
from speechqa_plugin.models.modes import inference
from speechqa_plugin.models.template import ScoreTemplate

if TYPE_CHECKING:
    from speechqa_plugin.models.completions import Completions


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
    audio_token_s: float
    """Time that an audio token covers, in seconds."""
    types: tuple[str, ...] = ()
    """Types of artifacts that `hear_types` hears; none where a model only writes what it hears."""

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

    def fill_template(self, inputs: ModelInputs, template: ScoreTemplate) -> Tensor:
        """See `speechqa_plugin.models.decoder.fill_template`; the inputs may be on the CPU."""
        from speechqa_plugin.models.decoder import fill_template

        return fill_template(self, inputs.to(self.device), template)

    def write(
        self,
        inputs: ModelInputs,
        max_new_tokens: int,
        choice_ids: Sequence[int] = (),
        first_ids: Sequence[int] = (),
    ) -> Completions:
        """See `speechqa_plugin.models.decoder.write`; the inputs may be on the CPU."""
        from speechqa_plugin.models.decoder import write

        return write(self, inputs.to(self.device), max_new_tokens, choice_ids, first_ids)

    def hear_types(self, inputs: ModelInputs) -> list[Tensor]:
        """Which types of artifacts sound when, by a linear layer on the audio tokens.

        Arguments
        ---------
        inputs : ModelInputs
            B prompts with their clips; may be on the CPU.

        Returns
        -------
        list of Tensor
            B times [T_i, Y] logits (float32, on the CPU) in the T_i audio tokens of a clip; above
            0 a type is said to sound.
        """
        inputs = inputs.to(self.device)
        with inference(self):
            logits = self.model.types(self.audio_embeddings(inputs)).float().cpu()
        return list(logits.split(self.token_counts(inputs)))

    def token_counts(self, inputs: ModelInputs) -> list[int]:
        """How many audio tokens each of B clips has."""
        return (inputs.prompt_ids == self.audio_token_id).sum(dim=1).tolist()

    def embed_prompt(self, inputs: ModelInputs, audio: Tensor | None = None) -> Tensor:
        """[B, P, H] prompt embeddings with the audio, encoded here if not given, in its place."""
        embeds = self.model.get_input_embeddings()(inputs.prompt_ids)
        if audio is None:
            audio = self.audio_embeddings(inputs)
        is_audio = inputs.prompt_ids == self.audio_token_id
        if int(is_audio.sum()) != audio.shape[0]:
            raise ValueError(
                f"the prompts have {int(is_audio.sum())} audio tokens, the clips {audio.shape[0]}"
            )
        return embeds.masked_scatter(is_audio.unsqueeze(-1), audio.to(embeds.dtype))

    def forward(
        self, inputs: ModelInputs, with_audio: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Predict each answer token from the audio, the prompt and the answer before it.

        Arguments
        ---------
        inputs : ModelInputs
            With answers.
        with_audio : bool
            Give the audio tokens as well.

        Returns
        -------
        Tensor or tuple of Tensor
            [B, A, V] logits; column a predicts ``inputs.answer_ids[:, a]``. If asked, also what
            `audio_embeddings` gave.
        """
        audio = self.audio_embeddings(inputs)
        answer_embeds = self.model.get_input_embeddings()(inputs.answer_ids[:, :-1])
        embeds = torch.cat([self.embed_prompt(inputs, audio), answer_embeds.to(self.dtype)], dim=1)
        mask = torch.cat([inputs.prompt_mask, inputs.answer_mask[:, :-1]], dim=1)
        hidden = self.model.get_decoder()(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=token_positions(mask),
            use_cache=False,
        ).last_hidden_state
        logits = self.model.get_output_embeddings()(hidden[:, -inputs.answer_ids.shape[1] :])
        return (logits, audio) if with_audio else logits

    @property
    def dtype(self) -> torch.dtype:
        """Type of the language model's embeddings."""
        return self.model.get_input_embeddings().weight.dtype

    @mark_as_saver
    def save(self, path, dtype: torch.dtype | None = None) -> None:
        """Write the weights of `state_names` as safetensors, with what they need to be read.

        Arguments
        ---------
        path : str or Path
            File to write.
        dtype : torch.dtype, optional
            Type to write them in; each in its own if not given. `load` brings them back to the
            model's.
        """
        state = self.model.state_dict()
        tensors = {n: state[n].detach().cpu().to(dtype).contiguous() for n in self.state_names}
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
