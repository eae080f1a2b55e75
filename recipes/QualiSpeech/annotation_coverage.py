"""How much of a column of annotations is understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tabulate import tabulate

from speechqa_plugin.annotations.base import Flag
from speechqa_plugin.annotations.parse import parse_annotation
from speechqa_plugin.schema import ArtifactKind

_NOT_UNDERSTOOD = {Flag.UNKNOWN_WORDING, Flag.UNREAD_TIME}


@dataclass(frozen=True)
class Coverage:
    """Counts over the annotations of one kind.

    Arguments
    ---------
    kind : str
        Name of the artifact kind.
    n : int
        Texts.
    present : int
        Texts that say that something is there; the next two are out of these.
    type_known : int
        All that is named has a type of the kind.
    with_intervals : int
        At least one interval.
    flags : mapping from Flag to int
        Texts with each flag, the most frequent first.
    not_understood : tuple of (str, int)
        Texts, as one line in lower case, with a wording or a time that is not known, and how
        often each occurs; the most frequent first.
    """

    kind: str
    n: int
    present: int
    type_known: int
    with_intervals: int
    flags: dict[Flag, int]
    not_understood: tuple[tuple[str, int], ...]

    def table(self, n_texts: int = 10) -> str:
        """The counts and the most frequent texts that were not understood, as Markdown.

        Arguments
        ---------
        n_texts : int
            How many texts to show.
        """
        counts = [
            ("texts", self.n),
            ("present", self.present),
            ("type known", self.type_known),
            ("with intervals", self.with_intervals),
            *((f"flag {flag}", count) for flag, count in self.flags.items()),
        ]
        tables = [tabulate(counts, (self.kind, "n"), "github", disable_numparse=True)]
        if texts := self.not_understood[:n_texts]:
            rows = [(text.replace("|", "/"), count) for text, count in texts]
            head = (f"{self.kind}: not understood", "n")
            tables.append(tabulate(rows, head, "github", disable_numparse=True))
        return "\n\n".join(tables)


def coverage(
    texts: Iterable[str], kind: ArtifactKind, durations_s: Iterable[float | None]
) -> Coverage:
    """Read a column of annotations and count what was understood.

    Arguments
    ---------
    texts : iterable of str
        One for each clip.
    kind : ArtifactKind
        What the column speaks of.
    durations_s : iterable of float or None
        Length of each clip, None where it is not known.

    Raises
    ------
    ValueError
        If there are not as many durations as texts.
    """
    pairs = zip(texts, durations_s, strict=True)
    found = [parse_annotation(text, kind, duration_s) for text, duration_s in pairs]
    present = [a for a in found if a.present]
    flags = Counter(flag for a in found for flag in sorted(a.flags))
    unclear = Counter(" ".join(a.text.lower().split()) for a in found if a.flags & _NOT_UNDERSTOOD)
    return Coverage(
        kind.name,
        len(found),
        len(present),
        sum(not a.flags & {Flag.UNKNOWN_WORDING, Flag.TYPE_NOT_SAID} for a in present),
        sum(bool(a.intervals) for a in present),
        dict(sorted(flags.items(), key=lambda item: (-item[1], item[0]))),
        tuple(sorted(unclear.items(), key=lambda item: (-item[1], item[0]))),
    )
