#!/usr/bin/env python3
"""Silent copies of a manifest's clips, of the same lengths and with the same labels.

What a model learns from them it has not heard. Run it by itself::

    python make_silent.py data/simulated/train.jsonl data/silent
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from speechqa_plugin.manifest import read_manifest, write_manifest
from speechqa_plugin.schema import load_taxonomy


def make_silent(manifest, folder, taxonomy="qualispeech"):
    """Write ``<folder>/<name of the manifest>`` and its clips.

    Arguments
    ---------
    manifest : path
        Clips and labels.
    folder : path
        Made if it is not there.
    taxonomy : str
        The manifest's; a name or a YAML file.
    """
    manifest, folder = Path(manifest), Path(folder)
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    silent = []
    for utterance in tqdm(read_manifest(manifest, load_taxonomy(taxonomy)), unit="clip"):
        path = folder / "clips" / f"{utterance.id}.flac"
        info = soundfile.info(utterance.path)
        soundfile.write(path, np.zeros(info.frames), info.samplerate)
        silent.append(replace(utterance, path=path))
    write_manifest(folder / manifest.name, silent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", help="a manifest with labels")
    parser.add_argument("folder", help="where to write")
    make_silent(**vars(parser.parse_args()))
