"""Many simulated clips: files, manifests, and a way back after an interruption.

Each clip has its own random generator, made from (seed, split, index), so a
corpus is the same however many processes build it and however often it was
interrupted. A finished clip is a WAV file and then a line in its split's
journal; both are there or the clip is made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from speechqa_plugin.manifest import write_manifest
from speechqa_plugin.schema import Taxonomy, Utterance, assessment_from_dict, load_taxonomy
from speechqa_plugin.simulate.clip import SimulatedClip, simulate_clip
from speechqa_plugin.simulate.scoring import load_settings
from speechqa_plugin.simulate.signals import SAMPLE_RATE_HZ, NoSpeechError, SimulationError
from speechqa_plugin.simulate.sources import SPLITS, Sources

logger = logging.getLogger(__name__)

SETTINGS_FILE = "simulation_settings.json"
_VERSION = 1
"""Raise it when the same settings would give other clips."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ATTEMPTS = 10


class _Worker:
    """What a process needs to make clips; there is one in each."""

    def __init__(self, folder: str, sources: Mapping[str, Sources], seed: int, options: dict):
        self.folder, self.sources, self.seed = Path(folder), sources, seed
        self.taxonomy = load_taxonomy(options["taxonomy"])
        self.ceiling = options["ceiling"]

    def make(self, split: str, index: int) -> dict:
        """Make one clip, write its audio, and return its record."""
        of_split = self.sources[split]
        sources = Sources(of_split.speech, of_split.noises, of_split.rooms)
        for attempt in range(_ATTEMPTS):
            rng = np.random.default_rng([self.seed, SPLITS.index(split), index, attempt])
            clean, speaker, paths = sources.draw_speech(rng)
            try:
                clip = simulate_clip(
                    clean, rng, self.taxonomy, sources.makers(), self.ceiling, sources.draw_room
                )
                break
            except NoSpeechError as err:
                sources.bad[paths[0]] = f"{paths[0]}: {err}"
        else:
            raise SimulationError(f"{split}: no speech in {_ATTEMPTS} clips; {sources.bad}")
        name = f"{split}-{index:06d}"
        _write_audio(self.folder / "clips" / split / f"{name}.wav", clip.audio)
        return {
            "id": name,
            "duration_s": len(clip.audio) / SAMPLE_RATE_HZ,
            "system": _system(clip),
            "reference": clip.assessment.to_dict(),
            "speaker": Path(speaker).name,
            "sources": [Path(p).name for p in paths],
            "plan": [asdict(step) for step in clip.plan],
            "pesq_lqo": clip.lqo,
            "stoi": clip.intelligibility,
            "bad_sources": sources.bad,
        }


_worker: _Worker | None = None


def build_corpus(
    save_folder: str | os.PathLike,
    sources: Mapping[str, Sources],
    counts: Mapping[str, int],
    seed: int,
    taxonomy: str = "qualispeech",
    ceiling: float = 5.0,
    num_workers: int | None = None,
) -> bool:
    """Build a corpus of simulated clips, or finish one that was begun.

    Writes ``<split>.jsonl`` (the manifest), ``<split>_simulation.jsonl`` (how
    each clip was made) and ``clips/<split>/*.wav``.

    Arguments
    ---------
    save_folder : path
        Is made if it is not there.
    sources : mapping from str to Sources
        What each split draws from; see `sources.split_sources`.
    counts : mapping from str to int
        Number of clips of each split.
    seed : int
        0 or above.
    taxonomy : str
        See `schema.load_taxonomy`; must have the types of `degradations.CHAIN`.
    ceiling : float
        Quality of the clean speech, in [1, 5].
    num_workers : int or None
        Processes; None for one per core. Does not change the result.

    Returns
    -------
    bool
        False if a finished corpus with the same settings was there already.

    Raises
    ------
    SimulationError
        If the folder holds a corpus with other settings, or no speech is usable.
    """
    folder = Path(save_folder)
    folder.mkdir(parents=True, exist_ok=True)
    options = {"taxonomy": taxonomy, "ceiling": ceiling}
    settings = _settings(sources, counts, seed, options)
    _refuse_other_settings(folder, settings)
    if all((folder / f"{split}.jsonl").is_file() for split in counts):
        logger.info("%s: simulated corpus is there already, nothing to do", folder)
        return False
    _write_lines(folder / SETTINGS_FILE, [settings])
    with _single_threads():
        # Spawned, not forked: the caller may hold threads of torch or a process group.
        executor = ProcessPoolExecutor(
            num_workers or _cores(),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(str(folder), dict(sources), seed, options),
        )
        try:
            for split, count in counts.items():
                if not (folder / f"{split}.jsonl").is_file():
                    records = _make_clips(executor, folder, split, count)
                    _write_split(folder, split, records, load_taxonomy(taxonomy))
        finally:
            executor.shutdown(cancel_futures=True)
    return True


def _make_clips(executor: Executor, folder: Path, split: str, count: int) -> list[dict]:
    """Records of all clips of a split, in order; those in the journal are not made again."""
    clips = folder / "clips" / split
    clips.mkdir(parents=True, exist_ok=True)
    for rest in clips.glob("*.tmp"):
        rest.unlink()
    journal = _journal(folder, split)
    records = _read_journal(journal, clips)
    _write_lines(journal, records.values())
    todo = [i for i in range(count) if f"{split}-{i:06d}" not in records]
    made = executor.map(_make_clip, [split] * len(todo), todo, chunksize=4)
    bar = tqdm(made, f"simulate {split}", count, initial=count - len(todo), unit="clip")
    with open(journal, "a", encoding="ascii") as out:
        for record in bar:
            out.write(json.dumps(record) + "\n")
            out.flush()
            records[record["id"]] = record
    return [records[name] for name in sorted(records)]


def _write_split(folder: Path, split: str, records: list[dict], taxonomy: Taxonomy) -> None:
    bad = {path: why for record in records for path, why in record["bad_sources"].items()}
    if bad:
        reasons = "; ".join(sorted(bad.values()))
        logger.warning("%s: left out %d source files: %s", split, len(bad), reasons)
    recipes = ({k: v for k, v in r.items() if k != "reference"} for r in records)
    _write_lines(folder / f"{split}_simulation.jsonl", recipes)
    utterances = (
        Utterance(
            r["id"],
            str(folder / "clips" / split / f"{r['id']}.wav"),
            r["duration_s"],
            assessment_from_dict(r["reference"], taxonomy),
            r["system"],
        )
        for r in records
    )
    write_manifest(folder / f"{split}.jsonl", utterances)
    _journal(folder, split).unlink()


@contextmanager
def _single_threads() -> Iterator[None]:
    """One thread a process, as many processes as cores; children inherit it."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux: the cores that we may use
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start_worker(*args) -> None:
    global _worker
    _worker = _Worker(*args)
    # A killed parent tells its processes nothing; they would wait for work for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _make_clip(split: str, index: int) -> dict:
    return _worker.make(split, index)


def _journal(folder: Path, split: str) -> Path:
    return folder / f".{split}.journal"


def _settings(sources, counts, seed, options) -> dict:
    def stamp(paths):
        listed = sorted(f"{Path(p).name} {os.path.getsize(p)}" for p in paths)
        return hashlib.sha256("\n".join(listed).encode()).hexdigest()[:16]

    return {
        "version": _VERSION,
        "seed": seed,
        "counts": dict(counts),
        **options,
        "simulation.yaml": hashlib.sha256(
            json.dumps(load_settings(), sort_keys=True).encode()
        ).hexdigest()[:16],
        "sources": {
            split: {
                "speech": {Path(n).name: stamp(p) for n, p in sorted(s.speech.items())},
                "noises": {t: stamp(p) for t, p in sorted(s.noises.items())},
                "rooms": stamp(s.rooms),
            }
            for split, s in sources.items()
        },
    }


def _refuse_other_settings(folder: Path, settings: dict) -> None:
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    changed = [k for k in settings if found.get(k) != settings[k]]
    if changed:
        raise SimulationError(
            f"{folder}: holds a simulated corpus with other settings "
            f"({', '.join(f'{k}: {found.get(k)} there, {settings[k]} asked' for k in changed)}); "
            "give another save_folder or delete this one"
        )


def _read_journal(path: Path, clips: Path) -> dict[str, dict]:
    """Records of finished clips; a line that a kill cut short is dropped."""
    if not path.is_file():
        return {}
    records = {}
    for line in path.read_text(encoding="ascii").splitlines(keepends=True):
        if line.endswith("\n"):
            record = json.loads(line)
            if (clips / f"{record['id']}.wav").is_file():
                records[record["id"]] = record
    return records


def _system(clip: SimulatedClip) -> str:
    kinds = {a.kind for a in clip.assessment.artifacts}
    return "+".join(sorted(kinds)) or "clean"


def _write_audio(path: Path, audio: np.ndarray) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    soundfile.write(temporary, audio, SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
    os.replace(temporary, path)


def _write_lines(path: Path, rows: Iterable[dict]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
    os.replace(temporary, path)
