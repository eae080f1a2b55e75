"""Measure many pairs of clip and reference in several processes, resumably.

What was measured of a clip is one JSON line, written when it is known. A killed pass loses the
clips in the making only; a second one goes on after the finished ones.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from tqdm import tqdm

from speechqa_plugin.files import append_json_line, appended_lines, write_json_lines
from speechqa_plugin.measures.instruments import SAMPLE_RATE_HZ, MeasureError, measure, require
from speechqa_plugin.processes import end_with_parent, pool

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """Two recordings and what is to be measured of them.

    Arguments
    ---------
    clip : str
        Path of any rate.
    reference : str or None
        Path of the clean speech at the same moments.
    names : tuple of str
        Measures, of `instruments.NAMES`.
    """

    clip: str
    reference: str | None
    names: tuple[str, ...]


def measure_all(
    path: str | os.PathLike,
    jobs: Mapping[str, Mapping[str, Pair]],
    num_workers: int | None = None,
) -> dict[str, dict[str, dict[str, float]]]:
    """Measure what a file of JSON lines does not have yet.

    A line holds ``id``, ``measures`` (pair name → measure → value, null where no speech was
    found) and the names that were asked.

    Arguments
    ---------
    path : path
        Is made, or gone on with.
    jobs : mapping from str to mapping from str to Pair
        Pairs by name, by clip id.
    num_workers : int or None
        Processes; None for one per core.

    Returns
    -------
    dict
        Values by clip id, pair and measure: those of ``jobs``, in their order.

    Raises
    ------
    MeasureError
        If a measure is not installed, a file cannot be read, the file of lines is of something
        else, or a process died. Finished clips are kept.
    """
    require(sorted({name for pairs in jobs.values() for p in pairs.values() for name in p.names}))
    path = Path(path)
    done = _read_done(path, jobs)
    todo = [name for name in jobs if name not in done]
    if todo:
        try:
            _measure_todo(path, jobs, todo, done, num_workers)
        except (BrokenProcessPool, BrokenPipeError) as err:
            raise MeasureError(
                f"{path}: a process that measures died; memory ran out or the calling script "
                'lacks `if __name__ == "__main__":`; run again, finished clips are kept'
            ) from err
    return {name: done[name] for name in jobs}


def measure_job(name: str, pairs: Mapping[str, Mapping]) -> tuple[str, dict]:
    """Measure the pairs of one clip; the same pair under two names is measured once.

    Returns
    -------
    (str, dict)
        The clip's id and its values, by pair and measure.

    Raises
    ------
    MeasureError
        If a file cannot be read.
    """
    found: dict[tuple, dict[str, float]] = {}
    out: dict[str, dict[str, float | None]] = {}
    for pair_name, fields in pairs.items():
        pair = Pair(**fields)
        known = found.setdefault((pair.clip, pair.reference), {})
        missing = [n for n in pair.names if n not in known]
        if missing:
            reference = None if pair.reference is None else _read(name, pair.reference)
            clip = _read(name, pair.clip)
            n = len(clip) if reference is None else min(len(clip), len(reference))
            reference = None if reference is None else reference[:n]
            known.update(measure(reference, clip[:n], missing))
        out[pair_name] = {n: None if math.isnan(known[n]) else known[n] for n in pair.names}
    return name, out


def _measure_todo(path, jobs, todo: Sequence[str], done: dict, num_workers: int | None) -> None:
    bar = tqdm(desc=f"measure {path.stem}", total=len(jobs), initial=len(done), unit="clip")
    with bar, open(path, "a", encoding="ascii") as out:
        with pool(num_workers, end_with_parent) as executor:
            futures = [
                executor.submit(measure_job, name, {k: asdict(p) for k, p in jobs[name].items()})
                for name in todo
            ]
            for future in as_completed(futures):
                name, values = future.result()
                append_json_line(out, {"id": name, "measures": values})
                done[name] = values
                bar.update()


def _read_done(path: Path, jobs: Mapping[str, Mapping[str, Pair]]) -> dict[str, dict]:
    """Values of finished clips, from a file that a kill may have cut short."""
    done: dict[str, dict] = {}
    if not path.is_file():
        return done
    lines, rest = appended_lines(path)
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            name, values = row["id"], row["measures"]
        except (ValueError, KeyError, TypeError) as err:
            raise MeasureError(
                f"{path}, line {number}: is no line of measures; give another file"
            ) from err
        if name in jobs:
            asked = {pair_name: set(pair.names) for pair_name, pair in jobs[name].items()}
            if {pair_name: set(of_pair) for pair_name, of_pair in values.items()} != asked:
                raise MeasureError(
                    f"{path}, line {number}: {name!r} has {values}, not what is asked now "
                    f"({asked}); delete the file or give another"
                )
        done[name] = values
    if rest:
        logger.warning("%s: dropped its last line, which was cut short", path)
        write_json_lines(path, ({"id": name, "measures": done[name]} for name in done))
    return done


def _read(name: str, path: str) -> np.ndarray:
    """Mono audio [n] of a file at 16 kHz."""
    try:
        audio, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as err:
        raise MeasureError(f"{name}: {path} cannot be read as audio ({err})") from err
    return soxr.resample(audio.mean(axis=1), rate_hz, SAMPLE_RATE_HZ)
