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
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from speechqa_plugin.files import append_json_line, appended_lines, write_json_lines
from speechqa_plugin.manifest import write_manifest
from speechqa_plugin.processes import pool
from speechqa_plugin.schema import Taxonomy, Utterance, assessment_from_dict, load_taxonomy
from speechqa_plugin.simulate import worker
from speechqa_plugin.simulate.describe import load_wording
from speechqa_plugin.simulate.signals import SimulationError
from speechqa_plugin.simulate.sources import Sources
from speechqa_plugin.simulate.worker import ClipMaker

logger = logging.getLogger(__name__)

SETTINGS_FILE = "simulation_settings.json"


def build_corpus(
    save_folder: str | os.PathLike,
    sources: Mapping[str, Sources],
    counts: Mapping[str, int],
    seed: int,
    taxonomy: str = "qualispeech",
    ceiling: float = 5.0,
    num_workers: int | None = None,
    maker: type[ClipMaker] = ClipMaker,
) -> bool:
    """Build a corpus of simulated clips, or finish one that was begun.

    Writes ``<split>.jsonl`` (the manifest), ``<split>_simulation.jsonl`` (how
    each clip was made) and ``clips/<split>/*.wav``. The processes are spawned, so
    a script that calls this needs ``if __name__ == "__main__":``.

    Arguments
    ---------
    save_folder : path
        Is made if it is not there.
    sources : mapping from str to Sources
        What each split draws from; see `splits.split_sources`.
    counts : mapping from str to int
        Number of clips of each split, at least 1.
    seed : int
        0 or above.
    taxonomy : str
        See `schema.load_taxonomy`; must have the types of `degradations.CHAIN`.
    ceiling : float
        Quality of the clean speech, in [1, 5].
    num_workers : int or None
        Processes; None for one per core. Does not change the result.
    maker : type of ClipMaker
        What makes the clips.

    Returns
    -------
    bool
        False if a finished corpus with the same settings was there already.

    Raises
    ------
    SimulationError
        If a count is below 1, the folder holds a corpus with other settings, no
        speech is usable, or a process died.
    """
    for split, count in counts.items():
        if count < 1:
            raise SimulationError(f"{split}: {count} clips asked; ask for at least 1")
    folder = Path(save_folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = _settings(maker, sources, counts, seed, taxonomy, ceiling)
    missing = [split for split in counts if not (folder / f"{split}.jsonl").is_file()]
    _refuse_other_corpus(folder, settings, [s for s in counts if s not in missing])
    if not missing:
        logger.info("%s: simulated corpus is there already, nothing to do", folder)
        return False
    write_json_lines(folder / SETTINGS_FILE, [settings])
    sources_file = folder / ".sources.json"
    write_json_lines(sources_file, [{split: asdict(s) for split, s in sources.items()}])
    initargs = (maker, str(folder), str(sources_file), seed, taxonomy, ceiling)
    try:
        with pool(num_workers, worker.start, initargs) as executor:
            for split in missing:
                records = _make_clips(executor, folder, split, counts[split])
                _write_split(folder, split, records, load_taxonomy(taxonomy))
    except (BrokenProcessPool, BrokenPipeError) as err:
        raise SimulationError(
            f"{folder}: a process that makes clips died; memory ran out or the calling "
            'script lacks `if __name__ == "__main__":`; run again, finished clips are kept'
        ) from err
    sources_file.unlink()
    return True


def _make_clips(executor: Executor, folder: Path, split: str, count: int) -> list[dict]:
    """Records of all clips of a split, in order; those in the journal are not made again."""
    clips = folder / "clips" / split
    clips.mkdir(parents=True, exist_ok=True)
    for rest in clips.glob("*.tmp"):
        rest.unlink()
    journal = _journal(folder, split)
    records = _read_journal(journal, clips)
    write_json_lines(journal, records.values())
    todo = [i for i in range(count) if worker.clip_name(split, i) not in records]
    made = executor.map(worker.make_clip, [split] * len(todo), todo, chunksize=4)
    bar = tqdm(made, f"simulate {split}", count, initial=count - len(todo), unit="clip")
    with open(journal, "a", encoding="ascii") as out:
        for record in bar:
            append_json_line(out, record)
            records[record["id"]] = record
    return [records[name] for name in sorted(records)]


def _write_split(folder: Path, split: str, records: list[dict], taxonomy: Taxonomy) -> None:
    bad = {path: why for record in records for path, why in record["bad_sources"].items()}
    if bad:
        reasons = "; ".join(sorted(bad.values()))
        logger.warning("%s: left out %d source files: %s", split, len(bad), reasons)
    recipes = ({k: v for k, v in r.items() if k != "reference"} for r in records)
    write_json_lines(folder / f"{split}_simulation.jsonl", recipes)
    utterances = (
        Utterance(
            r["id"],
            str(folder / "clips" / split / f"{r['id']}.wav"),
            r["duration_s"],
            r["reference"] and assessment_from_dict(r["reference"], taxonomy),
            r["system"],
        )
        for r in records
    )
    write_manifest(folder / f"{split}.jsonl", utterances)
    _journal(folder, split).unlink()


def _settings(
    maker: type[ClipMaker],
    sources: Mapping[str, Sources],
    counts: Mapping[str, int],
    seed: int,
    taxonomy: str,
    ceiling: float,
) -> dict:
    """Everything that decides what the clips are; source files by name and size."""

    def stamp(paths: Iterable[str]) -> str:
        return _digest(sorted(f"{Path(path).name} {os.path.getsize(path)}" for path in paths))

    of_maker = {k: _digest(v) if k.endswith(".yaml") else v for k, v in maker.settings().items()}
    return of_maker | {
        "seed": seed,
        "counts": dict(counts),
        "taxonomy": f"{taxonomy} {_digest(load_taxonomy(taxonomy).to_dict())}",
        "ceiling": ceiling,
        "wording.yaml": _digest(load_wording()),
        "sources": {
            split: {
                "speech": {Path(n).name: stamp(p) for n, p in sorted(s.speech.items())},
                "noises": {type_: stamp(p) for type_, p in sorted(s.noises.items())},
                "rooms": stamp(s.rooms),
            }
            for split, s in sources.items()
        },
    }


def _digest(data) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def _refuse_other_corpus(folder: Path, settings: dict, finished: list[str]) -> None:
    path = folder / SETTINGS_FILE
    advice = "give another save_folder or delete this one"
    if not path.is_file():
        if finished:
            raise SimulationError(
                f"{folder}: holds manifests {finished} but no {SETTINGS_FILE}; {advice}"
            )
        return
    found = json.loads(path.read_text(encoding="ascii"))
    changed = [key for key in settings if found.get(key) != settings[key]]
    if changed:
        differences = ", ".join(
            key if key == "sources" else f"{key}: {found.get(key)} there, {settings[key]} asked"
            for key in changed
        )
        raise SimulationError(
            f"{folder}: holds a simulated corpus with other settings ({differences}); {advice}"
        )


def _journal(folder: Path, split: str) -> Path:
    return folder / f".{split}.journal"


def _read_journal(path: Path, clips: Path) -> dict[str, dict]:
    """Records of finished clips; a line that a kill cut short is dropped."""
    records: dict[str, dict] = {}
    lines = appended_lines(path)[0] if path.is_file() else []
    for record in map(json.loads, lines):
        if (clips / f"{record['id']}.wav").is_file():
            records[record["id"]] = record
    return records
