"""What the stages share: order of data, seeds, safe optimizer steps, validation, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import speechbrain as sb
import torch
from speechbrain.dataio.dataloader import distributed_loader_specifics
from speechbrain.utils.checkpoints import ckpt_recency
from speechbrain.utils.logger import get_logger

from speechqa_plugin.brains.augmentation import shift_frames, warp_bands
from speechqa_plugin.brains.sampler import PassesSampler
from speechqa_plugin.evaluation.assess import assess_split, rank_and_size
from speechqa_plugin.evaluation.summary import summarise
from speechqa_plugin.listening import Answerer
from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.schema import Utterance
from speechqa_plugin.text.answers import AnswerForm

logger = get_logger(__name__)


class AssessorBrain(sb.Brain):
    """A Brain that trains the model behind a `Answerer` and validates by asking it.

    Its random numbers are a function of seed, optimizer step and rank, so that an interrupted
    run continues as the uninterrupted one would have, and ranks draw different numbers.

    Arguments
    ---------
    modules : dict
        Hold what is trained: the answerer's model.
    opt_class, hparams, run_opts, checkpointer
        As in `speechbrain.core.Brain`. ``hparams`` must have ``seed``, ``train_logger``,
        ``best_metric`` (key of the number that picks the best checkpoint) and may have
        ``lr_schedule``, called with the optimizer and the step before each update.
    answerer : Answerer
        The same model with its taxonomy.
    valid_utterances : sequence of Utterance
        Clips to validate on.
    valid_form : str
        Answer form that is asked for in validation.
    valid_batch_size : int
        Clips at once in validation.
    band_warp : float
        Most by which the frequency axis of a training clip is stretched or squeezed at random, as
        a share; see `warp_bands`. Above 0, clips also begin at random a part of a frame later; see
        `shift_frames`.

    Raises
    ------
    ValueError
        If ``max_grad_norm`` is not above 0, or ``band_warp`` not in [0, 0.5].
    """

    def __init__(
        self,
        modules=None,
        opt_class=None,
        hparams=None,
        run_opts=None,
        checkpointer=None,
        *,
        answerer: Answerer,
        valid_utterances: Sequence[Utterance],
        valid_form: str = AnswerForm.SCORES,
        valid_batch_size: int = 16,
        band_warp: float = 0.0,
    ):
        super().__init__(modules, opt_class, hparams, run_opts, checkpointer)
        if self.max_grad_norm <= 0:
            raise ValueError(
                f"max_grad_norm is {self.max_grad_norm}; it must be above 0 (a negative value "
                "turns descent into ascent, 0 stops it): give a large one to switch clipping off"
            )
        if not 0 <= band_warp <= 0.5:
            raise ValueError(f"band_warp is {band_warp}; need a share from 0 to 0.5")
        # PyTorch 2.11's default attention on an H100 has a gradient of nan for some lengths of
        # masked bfloat16 rows (pytorch issue 196678); the next kernel in its list is right.
        torch.backends.cuda.enable_cudnn_sdp(False)
        self.answerer = answerer
        self.valid_utterances = valid_utterances
        self.valid_form = AnswerForm(valid_form)
        self.valid_batch_size = valid_batch_size
        self.band_warp = band_warp
        self.skipped_steps = 0
        self.train_loss = math.nan

    def training_inputs(self, inputs: ModelInputs, stage: sb.Stage) -> ModelInputs:
        """The inputs on the brain's device, in training with bands warped and frames shifted."""
        inputs = inputs.to(self.device)
        if stage != sb.Stage.TRAIN or not self.band_warp:
            return inputs
        warp, shift = torch.rand(2, len(inputs.features), device=self.device)
        features = warp_bands(inputs.features, 1 + self.band_warp * (2 * warp - 1))
        return replace(inputs, features=shift_frames(features, shift))

    def init_optimizers(self):
        """Give the optimizer what is trained, with names."""
        named = [(n, p) for n, p in self.modules.named_parameters() if p.requires_grad]
        self.optimizer = self.opt_class(named)
        self.optimizers_dict = {"opt_class": self.optimizer}
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable("optimizer", self.optimizer)

    def make_dataloader(self, dataset, stage, ckpt_prefix="dataloader-", **loader_kwargs):
        """Make the training batches of many processes add up to those of one.

        ``batch_size`` counts the rows over all processes, and the order is the same on any number
        of them. ``rows_per_epoch`` makes a shuffled epoch as long, see `PassesSampler`.
        """
        if stage == sb.Stage.TRAIN:
            loader_kwargs["batch_size"] = self._local_batch_size(loader_kwargs["batch_size"])
            rows = loader_kwargs.pop("rows_per_epoch", None)
            if loader_kwargs.pop("shuffle", False):
                self.train_sampler = PassesSampler(dataset, self.hparams.seed, rows)
                loader_kwargs["sampler"] = self.train_sampler
        elif stage == sb.Stage.VALID:
            # The loss of a share; a row or two that fill up the last round count twice.
            loader_kwargs = distributed_loader_specifics(
                self.distributed_launch, rank_and_size()[0], dataset, loader_kwargs
            )
        return super().make_dataloader(dataset, stage, ckpt_prefix, **loader_kwargs)

    def _local_batch_size(self, batch_size: int) -> int:
        _, size = rank_and_size()
        if batch_size % size:
            raise ValueError(
                f"batch_size {batch_size} does not divide by {size} processes; it counts the rows "
                "over all of them"
            )
        return batch_size // size

    def on_fit_batch_start(self, batch, should_step):
        """Set learning rate and seeds of this step."""
        if hasattr(self.hparams, "lr_schedule"):
            self.hparams.lr_schedule(self.optimizer, self.optimizer_step + 1)
        rank, size = rank_and_size()
        torch.manual_seed(self.hparams.seed + self.optimizer_step * size + rank)

    def optimizers_step(self):
        """Clip all parameters together; leave a step out where the gradient is not finite.

        Gradients are the same on all ranks by now, so all of them decide alike.
        """
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        if torch.isfinite(norm) or self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.skipped_steps = 0
        else:
            self.skipped_steps += 1
            logger.warning(f"step {self.optimizer_step}: gradient norm is {norm}, step left out")
            if self.skipped_steps > self.nonfinite_patience:
                raise RuntimeError(
                    f"{self.skipped_steps} steps in a row had a gradient that is not finite (at "
                    f"step {self.optimizer_step}); lower the learning rate or train in fp32"
                )
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer_step += 1

    def validate(self) -> dict[str, float]:
        """Ask the model about the validation clips; numbers by their names."""
        records = assess_split(
            self.answerer, self.valid_utterances, self.valid_form, self.valid_batch_size
        )
        summary = summarise(records, self.valid_form)
        metrics = {
            "parse_rate": summary["parse_rate"],
            "utt/pcc": summary["mean"]["utt/pcc"].value,
            "rmse": summary["mean"]["rmse"],
        }
        for name, numbers in summary["dimensions"].items():
            metrics[f"{name}/utt/pcc"] = numbers["utt/pcc"].value
        return metrics

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """After an epoch: validate, log, keep the newest and the best checkpoint."""
        loss = torch.tensor(float(stage_loss), device=self.device)
        if self.distributed_launch:  # each rank knows that of its share
            torch.distributed.all_reduce(loss)
            loss /= torch.distributed.get_world_size()
        if stage == sb.Stage.TRAIN:
            self.train_loss = float(loss)
            return
        metrics = {"loss": float(loss), **self.validate()}
        self.hparams.train_logger.log_stats(
            stats_meta={
                "epoch": epoch,
                "step": self.optimizer_step,
                "lr": self.optimizer.param_groups[0]["lr"],
            },
            train_stats={"loss": self.train_loss},
            valid_stats=metrics,
        )
        # A model that says the same of every clip has no correlation; it must not win for that.
        kept = {k: -1.0 if math.isnan(v) else float(v) for k, v in metrics.items()}
        self.checkpointer.save_and_keep_only(
            meta=kept, max_keys=[self.hparams.best_metric], importance_keys=[ckpt_recency]
        )
