"""QualiSpeech (arXiv 2503.20290) as it is published: its CSV files, their columns and its clips."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

SPLITS = {"train": "train", "valid": "val", "test": "test"}
"""Our name of a split and that of its CSV file and folder."""

SCORES = {
    "Speed": "speed",
    "Naturalness": "naturalness",
    "Background noise": "noise",
    "Distortion": "distortion",
    "Listening effort": "listening_effort",
    "Continuity": "continuity",
    "Overall quality": "mos",
}
"""Column of scores and its dimension."""

ANNOTATIONS = {
    "noise": "Noise Description",
    "distortion": "Distortion description",
    "pause": "Unnatural pause",
}
"""Artifact kind and the column that tells of it."""

REMARKS = {"naturalness": "Feeling of voice", "mos": "Natural language description"}
"""Dimension and a column that remarks on it."""

_BVCC_ID = re.compile(r"sys[0-9a-f]{5}-utt[0-9a-f]{7}")


class QualiSpeechError(ValueError):
    """A corpus that cannot be prepared; the message says what was found and what to do."""


@dataclass(frozen=True)
class Row:
    """A line of a CSV file.

    Arguments
    ---------
    id : str
        Without ``.wav``.
    split : str
        Whose CSV file it stands in: ``train``, ``val`` or ``test``.
    cells : dict from str to str
        Column to text, without blanks around it.
    """

    id: str
    split: str
    cells: dict[str, str]

    @property
    def of_bvcc(self):
        """Whether its clip belongs to the BVCC corpus."""
        return bool(_BVCC_ID.fullmatch(self.id))


def read_rows(data_folder, split):
    """Read ``<split>.csv``.

    Arguments
    ---------
    data_folder : path
        Where it is.
    split : str
        ``train``, ``val`` or ``test``.

    Returns
    -------
    list of Row

    Raises
    ------
    QualiSpeechError
        If the file or a column is missing.
    """
    path = Path(data_folder) / f"{split}.csv"
    if not path.is_file():
        raise QualiSpeechError(
            f"{path}: no such file; data_folder must hold QualiSpeech's train.csv, val.csv, "
            "test.csv and wav/"
        )
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        found = [(name or "").strip() for name in reader.fieldnames or []]
        wanted = ["id", *SCORES, *ANNOTATIONS.values(), *REMARKS.values()]
        missing = [name for name in wanted if name not in found]
        if missing:
            raise QualiSpeechError(f"{path}: has no columns {missing}; found {found}")
        reader.fieldnames = found
        rows = []
        for line in reader:
            cells = {name: (line[name] or "").strip() for name in wanted}
            rows.append(Row(cells["id"].removesuffix(".wav"), split, cells))
    return rows


def find_audio(row, data_folder, bvcc_folder=None):
    """Where a row's clip is, whether or not its name in the CSV file ends in ``.wav``.

    Arguments
    ---------
    row : Row
    data_folder, bvcc_folder : Path
        See `prepare_qualispeech`.

    Returns
    -------
    Path or None
        None if it is nowhere.
    """
    folders = [Path(data_folder) / "wav" / row.split]
    if bvcc_folder is not None and row.of_bvcc:
        folders.append(Path(bvcc_folder))
    files = [folder / name for folder in folders for name in (f"{row.id}.wav", row.id)]
    return next((file for file in files if file.is_file()), None)
