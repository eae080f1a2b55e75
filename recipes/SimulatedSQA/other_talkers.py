#!/usr/bin/env python3
"""Two more test sets, each of a talker whom SimulatedSQA has in no split.

One test talker says little of how a model does with others. These are a Spanish
woman, with the noises of training, and a synthetic voice, with those of test::

    python other_talkers.py data data/others
    python evaluate.py hparams/grpo_compact.yaml --test_manifest=data/others/spanish/test.jsonl

Writes ``spanish/test.jsonl`` and ``synthetic/test.jsonl`` and their clips. Needs
apt-get and pip, as `fetch_audio` does.
"""

import argparse
import logging
import sys
from pathlib import Path

from fetch_audio import fetch_other_talkers
from simulated_prepare import sources_of_splits

from speechqa_plugin.simulate.corpus import build_corpus
from speechqa_plugin.simulate.signals import SimulationError
from speechqa_plugin.simulate.sources import Sources
from speechqa_plugin.simulate.splits import find_speech

NOISES_OF = {"spanish": "train", "synthetic": "test"}
SEEDS = {"spanish": 77, "synthetic": 78}


def prepare_other_talkers(data_folder, save_folder, n=400, num_workers=None):
    """Make both test sets; a second call does nothing.

    Arguments
    ---------
    data_folder : path
        Where fetched speech and noise are kept, as of `prepare_simulated`.
    save_folder : path
        Gets a folder for each talker.
    n : int
        Clips of each.
    num_workers : int or None
        Processes; None for one per core. Does not change the result.

    Raises
    ------
    SimulationError
        If speech or noise cannot be had, or a folder holds a corpus with other settings.
    """
    splits, _ = sources_of_splits(data_folder)
    for name, (folder, ceiling) in fetch_other_talkers(Path(data_folder)).items():
        sources = Sources(find_speech([folder]), splits[NOISES_OF[name]].noises)
        build_corpus(
            Path(save_folder) / name,
            {"test": sources},
            {"test": n},
            SEEDS[name],
            ceiling=ceiling,
            num_workers=num_workers,
        )


def main():
    """Command line of `prepare_other_talkers`; ``--help`` lists the options."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_folder", help="where fetched speech and noise are kept")
    parser.add_argument("save_folder", help="gets a folder for each talker")
    parser.add_argument("--n", type=int, default=400, help="clips of each talker")
    parser.add_argument("--num_workers", type=int, help="processes; one per core if not given")
    try:
        prepare_other_talkers(**vars(parser.parse_args()))
    except SimulationError as error:
        sys.exit(f"other_talkers.py: {error}")


if __name__ == "__main__":
    main()
