#!/usr/bin/env python3
"""A small speech enhancement recipe of SpeechBrain's kind, with quality scores added to it.

> python enhance.py hparams/enhance.yaml --quality_model=../../results/demo/exported

A mask on the magnitude spectrum, learned from pairs of noisy and clean clips, which are made of
tones and noise so that it runs at once. The three lines that end in ``# quality``, and the last
block of the YAML file, are all that was added: after each epoch, and after the test, the log has
the mean score of the enhanced clips.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile
import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.dataio.dataio import read_audio
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.nnet.losses import l1_loss, mse_loss
from speechbrain.processing.features import spectral_magnitude
from speechbrain.utils.distributed import ddp_init_group, run_on_main
from speechbrain.utils.metric_stats import MetricStats


class EnhancementBrain(sb.Brain):
    """Learns a mask."""

    def compute_forward(self, batch, stage):
        """Enhanced waveforms [B, T] and their magnitudes."""
        noisy, _ = batch.to(self.device).noisy
        spectra = self.hparams.compute_stft(noisy)
        magnitudes = spectral_magnitude(spectra, power=0.5)
        mask = self.modules.masker(torch.log1p(magnitudes)).sigmoid()
        enhanced = self.hparams.compute_istft(mask.unsqueeze(-1) * spectra, noisy.shape[1])
        return enhanced, mask * magnitudes

    def compute_objectives(self, predictions, batch, stage):
        """Distance of the spectra; in validation that of the samples, too."""
        enhanced, magnitudes = predictions
        clean, lens = batch.clean
        target = spectral_magnitude(self.hparams.compute_stft(clean), power=0.5)
        if stage != sb.Stage.TRAIN:
            self.distance.append(batch.id, enhanced, clean, lens, reduction="batch")
            self.quality.append(batch.id, enhanced, lens)  # quality
        return mse_loss(magnitudes, target, lens)

    def on_stage_start(self, stage, epoch=None):
        """Begin to count."""
        self.distance = MetricStats(metric=l1_loss)
        self.quality = self.hparams.quality_stats()  # quality

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log, and keep the best checkpoint."""
        stats = {"loss": stage_loss}
        if stage == sb.Stage.TRAIN:
            self.train_stats = stats
            return
        stats["distance"] = self.distance.summarize("average")
        stats["mos"] = self.quality.summarize("average")  # quality
        if stage == sb.Stage.VALID:
            self.hparams.train_logger.log_stats({"epoch": epoch}, self.train_stats, stats)
            self.checkpointer.save_and_keep_only(stats, min_keys=["loss"])
        else:
            self.hparams.train_logger.log_stats({"checkpoint": "best"}, test_stats=stats)


def prepare(folder, n_clips, seconds=1.0, rate_hz=16000):
    """Write pairs of clips, a wavering tone with and without noise, as each split's files."""
    rng = np.random.default_rng(0)
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    for split, n in n_clips.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            pitch_hz = rng.uniform(100, 300)
            tones = [np.sin(2 * np.pi * k * pitch_hz * time) / k for k in range(1, 9)]
            clean = 0.1 * sum(tones) * (1 + np.sin(2 * np.pi * 3 * time)) / 2
            noisy = clean + 0.05 * rng.standard_normal(len(time))
            soundfile.write(folder / split / f"{i}-clean.wav", clean, rate_hz)
            soundfile.write(folder / split / f"{i}-noisy.wav", noisy, rate_hz)


def make_dataset(folder, split):
    """The pairs of a split."""
    data = {
        path.name.removesuffix("-clean.wav"): {
            "clean_path": str(path),
            "noisy_path": str(path).replace("-clean", "-noisy"),
        }
        for path in sorted((folder / split).glob("*-clean.wav"))
    }
    dataset = DynamicItemDataset(data)
    for name in ("clean", "noisy"):
        dataset.add_dynamic_item(read_audio, takes=f"{name}_path", provides=name)
    dataset.set_output_keys(["id", "clean", "noisy"])
    return dataset


def main():
    """Train, keep the best, test it."""
    hparams_file, run_opts, overrides = sb.parse_arguments(sys.argv[1:])
    ddp_init_group(run_opts)
    with open(hparams_file, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    sb.create_experiment_directory(hparams["output_folder"], hparams_file, overrides)
    data_folder, n_clips = Path(hparams["data_folder"]), hparams["n_clips"]
    run_on_main(prepare, args=[data_folder, n_clips])
    train, valid, test = (make_dataset(data_folder, s) for s in ("train", "valid", "test"))
    brain = EnhancementBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    loading = hparams["dataloader_options"]
    brain.fit(
        hparams["epoch_counter"],
        train,
        valid,
        train_loader_kwargs=loading,
        valid_loader_kwargs=loading,
    )
    brain.evaluate(test, min_key="loss", test_loader_kwargs=loading)


if __name__ == "__main__":
    main()
