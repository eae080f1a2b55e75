"""Rated files as utterances: each is heard once, so that no training stops at it later."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from speechqa_plugin.audio import AudioError, decode, open_audio
from speechqa_plugin.files import looks_like_windows
from speechqa_plugin.ratings.table import Rated, RatingsError
from speechqa_plugin.schema import Assessment, Taxonomy, Utterance


def find_clips(
    rated: Sequence[Rated], taxonomy: Taxonomy, folders: Sequence[str | os.PathLike]
) -> tuple[list[tuple[Rated, Utterance]], dict[str, str]]:
    """Decode each file and put its scores beside it.

    Arguments
    ---------
    rated : sequence of Rated
        The files; a relative one is looked for in each folder.
    taxonomy : Taxonomy
        With the dimensions of their scores.
    folders : sequence of path
        Where to look; at least one.

    Returns
    -------
    list of (Rated, Utterance)
        Files that can be heard, each with its utterance, whose id is the file as it is named.
    dict from str to str
        Files that are left out, and why.

    Raises
    ------
    RatingsError
        If none can be heard, or two names are one file.
    """
    kept, left_out, names = [], {}, {}
    for row in tqdm(rated, desc="listening", unit="file", disable=None):
        path = _find(row.file, folders)
        try:
            with open_audio(path) as file:
                duration_s = len(decode(path, file, file.samplerate)[0]) / file.samplerate
        except AudioError as err:
            left_out[row.file] = _reason(path, err)
            continue
        other = names.setdefault(os.path.realpath(path), row)
        if other is not row:
            raise RatingsError(
                f"{row.where}: {row.file!r} is the file that {other.where} calls {other.file!r}; "
                "call it by one name"
            )
        reference = Assessment(taxonomy, row.scores)
        utterance = Utterance(row.file, str(path), duration_s, reference, row.system)
        kept.append((row, utterance))
    if not kept:
        name, why = next(iter(left_out.items()))
        windows = any(looks_like_windows(row.file) for row in rated)
        hint = "; these are paths of Windows: write them relative to a folder" if windows else ""
        looked = " and ".join(str(f) for f in folders)
        raise RatingsError(
            f"none of {len(rated)} audio files can be heard (the first, {name!r}: {why}); looked "
            f"in {looked}: name the folder that they lie in by --audio_folder{hint}"
        )
    return kept, left_out


def _find(name: str, folders: Sequence[str | os.PathLike]) -> Path:
    places = [Path(folder, name) for folder in folders]
    return next((place for place in places if place.is_file()), places[0])


def _reason(path: Path, error: AudioError) -> str:
    """An audio error without the path, which stands before it."""
    return str(error).removeprefix(f"{path}: ").partition(";")[0]
