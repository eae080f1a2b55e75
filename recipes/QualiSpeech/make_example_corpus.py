#!/usr/bin/env python3
"""Make a small corpus in the layout and style of QualiSpeech, to try the recipe without its data.

Run it by itself::

    python make_example_corpus.py data/example

The clips are synthetic buzzing "voices" with known faults, the annotations are sentences of this
project's own; nothing in it is from QualiSpeech. Like there, some rows name BVCC clips that are
not included.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 16000
COLUMNS = [
    "id",
    "Speed",
    "Naturalness",
    "Background noise",
    "Distortion",
    "Listening effort",
    "Continuity",
    "Overall quality",
    "Feeling of voice",
    "Noise Description",
    "Distortion description",
    "Unnatural pause",
    "Natural language description",
]
COUNTS = {"train": 24, "val": 8, "test": 8}
NO_AUDIO_EVERY = 8
"""Beside so many clips a row stands for a BVCC clip, which has no audio."""

NOISES = {"hiss": "white noise", "hum": "a low hum", "clicks": "clicks"}
DISTORTIONS = {"clipping": "clipping", "robot": "a robotic voice"}
PAUSES = {"pause": "a pause"}
WHEN = ["from {0}-{1}s", "from {0} to {1} seconds", "between {0}s and {1}s", "{0}–{1}s"]
NOTHING = {
    "noise": ["Not noticeable", "None", "not noticeable"],
    "distortion": ["not distorted", "None", "Not distorted."],
    "pause": ["Very smooth", "None", "very smooth"],
}
SPEEDS = ["very slow", "slow", "moderate", "rather fast", "very fast"]
FEELINGS = ["calm", ""]


def make_example_corpus(folder, seed=1234):
    """Write ``train.csv``, ``val.csv``, ``test.csv`` and ``wav/<split>/<id>``.

    Arguments
    ---------
    folder : path
        Made if it is not there; files of the same names are written over.
    seed : int
        The same seed gives the same files.
    """
    folder = Path(folder)
    for number, (split, count) in enumerate(COUNTS.items()):
        rng = np.random.default_rng([seed, number])
        (folder / "wav" / split).mkdir(parents=True, exist_ok=True)
        rows = []
        for i in range(count):
            faults = draw_faults(rng)
            row = annotate(f"system{i % 4}-{split}{i:03d}.wav", faults, rng)
            audio = make_clip(faults, rng)
            soundfile.write(folder / "wav" / split / row["id"], audio, RATE_HZ)
            rows.append(row)
            if i % NO_AUDIO_EVERY == 0:
                bvcc = f"sys{i:05x}-utt{number * 1000 + i:07x}.wav"
                rows.append(annotate(bvcc, draw_faults(rng), rng))
        with open(folder / f"{split}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


def draw_faults(rng):
    """What a clip is to have: seconds, speed and, for each fault, its name, grade and interval."""
    seconds = rng.integers(12, 20) / 10
    faults = {"seconds": seconds, "speed": int(rng.integers(2, 5))}
    for kind, names in (("noise", NOISES), ("distortion", DISTORTIONS), ("pause", PAUSES)):
        grade = int(rng.choice([5, 5, 4, 3, 2, 1]))
        start = rng.integers(0, 5) / 10
        end = seconds if rng.random() < 0.5 else start + rng.integers(3, 8) / 10
        if kind == "pause":
            end = start + rng.integers(2, 5) / 10
        faults[kind] = (str(rng.choice(list(names))), grade, start, round(min(end, seconds), 1))
    return faults


def make_clip(faults, rng):
    """Samples [T] of a clip with these faults."""
    n = round(faults["seconds"] * RATE_HZ)
    time = np.arange(n) / RATE_HZ
    pitch_hz = rng.uniform(90, 220)
    wobble = 1 + 0.02 * np.sin(2 * np.pi * 2.5 * time)
    harmonics = np.arange(1, 30)
    phases = np.outer(harmonics, 2 * np.pi * np.cumsum(pitch_hz * wobble) / RATE_HZ)
    weights = 1 / (1 + ((harmonics * pitch_hz - 600) / 900) ** 2)
    syllables = 0.5 - 0.5 * np.cos(2 * np.pi * 1.5 * faults["speed"] * time)
    voice = 0.15 * (weights @ np.sin(phases)) * syllables

    def part(kind):
        name, grade, start, end = faults[kind]
        return name, (5 - grade) / 4, slice(round(start * RATE_HZ), round(end * RATE_HZ))

    name, strength, where = part("distortion")
    if name == "clipping":
        ceiling = 0.6 * (1 - 0.9 * strength)
        voice[where] = np.clip(voice[where], -ceiling, ceiling)
    else:
        ring = np.sin(2 * np.pi * 70 * time[where])
        voice[where] *= 1 - strength + strength * ring
    name, strength, where = part("pause")
    if strength:
        voice[where] *= 1 - strength
    name, strength, where = part("noise")
    length = where.stop - where.start
    noise = {
        "hiss": rng.standard_normal(length),
        "hum": np.sin(2 * np.pi * 50 * time[where]),
        "clicks": 4.0 * (rng.random(length) < 0.002),
    }[name]
    voice[where] += 0.2 * strength * noise
    return np.clip(voice, -1, 1)


def annotate(id_, faults, rng):
    """A row of the CSV file: scores, and sentences about the faults."""
    grades = {kind: faults[kind][1] for kind in ("noise", "distortion", "pause")}
    worst, mean = min(grades.values()), sum(grades.values()) / 3
    overall = max(1, min(5, round(0.5 * worst + 0.5 * mean)))
    cells = {}
    for kind, names in (("noise", NOISES), ("distortion", DISTORTIONS), ("pause", PAUSES)):
        name, grade, start, end = faults[kind]
        times = str(rng.choice(WHEN)).format(start, end)
        cells[kind] = str(rng.choice(NOTHING[kind])) if grade == 5 else f"{names[name]} {times}"
    feeling = str(rng.choice(FEELINGS))
    heard = [cells[kind] for kind in ("noise", "distortion", "pause") if grades[kind] < 5]
    pace = SPEEDS[faults["speed"] - 1]
    sentences = [f"A {pace} pace.", *([f"One hears {' and '.join(heard)}."] if heard else [])]
    return {
        "id": id_,
        "Speed": faults["speed"],
        "Naturalness": grades["distortion"],
        "Background noise": grades["noise"],
        "Distortion": grades["distortion"],
        "Listening effort": max(1, min(5, round(mean))),
        "Continuity": grades["pause"],
        "Overall quality": overall,
        "Feeling of voice": f"{feeling} voice" if feeling else "",
        "Noise Description": cells["noise"],
        "Distortion description": cells["distortion"],
        "Unnatural pause": cells["pause"],
        "Natural language description": " ".join(sentences),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="where to write it")
    parser.add_argument("--seed", type=int, default=1234)
    make_example_corpus(**vars(parser.parse_args()))
