"""Which clips train, which validate and which test."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from speechqa_plugin.ratings.table import Rated, RatingsError

SPLITS = ("train", "valid", "test")

_SYNONYMS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}


def split_of(
    rated: Sequence[Rated], valid_share: float = 0.15, test_share: float = 0.15, seed: int = 1234
) -> dict[str, str]:
    """Put each file into a split.

    Where the table has splits, these. Otherwise groups (or files, where there are none) are drawn
    by a hash of seed and name, so that the same table gives the same splits on every machine, and
    until a split has its share. No group is in two of them.

    Arguments
    ---------
    rated : sequence of Rated
        The files.
    valid_share, test_share : float
        Of all files, each above 0 and together below 1; at least one group.
    seed : int
        Of the draw.

    Returns
    -------
    dict from str to str
        File to ``train``, ``valid`` or ``test``.

    Raises
    ------
    RatingsError
        If a split is unknown or empty, or a group is in two of them.

    Example
    -------
    >>> rated = [Rated(f"{i}.wav", "", {}, 1, group=f"talker{i // 4}") for i in range(16)]
    >>> splits = split_of(rated)
    >>> sorted(splits.values()) == ["test"] * 4 + ["train"] * 8 + ["valid"] * 4
    True
    >>> len({(r.group, splits[r.file]) for r in rated})
    4
    """
    if not (valid_share > 0 and test_share > 0 and valid_share + test_share < 1):
        raise RatingsError(
            f"valid_share is {valid_share} and test_share {test_share}; need each above 0 and "
            "together below 1"
        )
    given = any(row.split for row in rated)
    splits = _given(rated) if given else _drawn(rated, valid_share, test_share, seed)
    empty = [name for name in SPLITS if name not in splits.values()]
    if empty:
        n = len({row.group or row.file for row in rated})
        what = ("group" if rated[0].group else "file") + "s" * (n > 1)
        raise RatingsError(
            f"no file is in {' and '.join(empty)}; the column for the split has to give all of "
            f"{', '.join(SPLITS)}"
            if given
            else f"found {n} {what}; need at least {len(SPLITS)}, for {', '.join(SPLITS)}"
        )
    return splits


def _given(rated: Sequence[Rated]) -> dict[str, str]:
    splits, seen = {}, {}
    for row in rated:
        split = _SYNONYMS.get(row.split.casefold())
        if split is None:
            raise RatingsError(
                f"{row.where}: the split is {row.split!r}; need one of {', '.join(SPLITS)}"
            )
        other = seen.setdefault(row.group, row) if row.group else row
        if splits.get(other.file, split) != split:
            raise RatingsError(
                f"{row.where}: group {row.group!r} is in {split} and, in {other.where}, in "
                f"{splits[other.file]}; correct the splits, or leave one of the two columns out"
            )
        splits[row.file] = split
    return splits


def _drawn(rated, valid_share: float, test_share: float, seed: int) -> dict[str, str]:
    groups: dict[str, list[str]] = defaultdict(list)
    for row in rated:
        groups[row.group or row.file].append(row.file)
    order = sorted(groups, key=lambda g: (hashlib.sha256(f"{seed}/{g}".encode()).hexdigest(), g))
    splits: dict[str, str] = {}
    for split, share, after in (("test", test_share, 2), ("valid", valid_share, 1)):
        n = 0
        # A group at least, and one for each split that comes after.
        while order and (n == 0 or (n < share * len(rated) and len(order) > after)):
            files = groups[order.pop(0)]
            splits |= dict.fromkeys(files, split)
            n += len(files)
    return splits | {file: "train" for group in order for file in groups[group]}
