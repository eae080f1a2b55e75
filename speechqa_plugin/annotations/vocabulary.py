"""The words of ``wording.yaml``: their classes, and the types that they name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import yaml

from speechqa_plugin.schema import ArtifactKind

TIME = "\x01"
"""Stands for a time in a text; nothing that `plain.normalise` gives has it."""
_DATA = yaml.safe_load(Path(__file__).with_name("wording.yaml").read_text(encoding="utf-8"))
CLASSES = {name: frozenset(words.split()) for name, words in _DATA["words"].items()}
"""Name of a class and its words."""
VOICE = CLASSES["voice"]
NEUTRAL = CLASSES["neutral"] | VOICE
_LOOSE = CLASSES["loose"]


def any_of(name: str) -> str:
    """Pattern of any word of a class."""
    return rf"(?:{'|'.join(sorted(CLASSES[name]))})"


def phrase_of(name: str) -> str:
    """Pattern of any phrase of a list, the longest first."""
    phrases = sorted(map(str, _flat(_DATA["phrases"][name])), key=len, reverse=True)
    return rf"(?:{'|'.join(map(re.escape, phrases))})"


def words_of(text: str) -> set[str]:
    """Words of a text, with the apostrophes and hyphens within."""
    return set(re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text))


def known_type(phrase: str, kind: ArtifactKind) -> str:
    """The type of the kind that a phrase names for certain; empty if there is none.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> known_type("constant chatter", load_taxonomy("qualispeech").kind("noise"))
    'babble'
    """
    table = _table(kind)
    return table.get(phrase) or table.get(_key(phrase), "")


def is_unspecific(phrase: str) -> bool:
    """Whether a phrase says no more than that there is something ("background noise")."""
    return words_of(phrase) <= CLASSES["unspecific"] | _LOOSE


def is_loose(phrase: str) -> bool:
    """Whether a phrase names nothing at all ("too long")."""
    return words_of(phrase) <= _LOOSE


def _key(phrase: str) -> frozenset[str]:
    words = words_of(phrase.replace("'s", "")) - _LOOSE - CLASSES["general"] - CLASSES["degree"]
    if not any(word.endswith("hz") for word in words):  # how many there are
        words = {word for word in words if not re.fullmatch(r"[0-9-]+", word)}
    return frozenset(map(_stem, words))


def _stem(word: str) -> str:
    return re.sub(r"(?:ing|ed|es|s)$", "", word) if len(word) > 4 else word


def spell(text: str) -> str:
    """The text with its deciding words as they are spelt.

    Example
    -------
    >>> spell("dont hear backgroud nosie, a hum")
    "don't hear background noise, a hum"
    """
    return re.sub(r"(?<![\w'-])[a-z]+(?![\w'-])", lambda match: _spelt(match[0]), text)


@lru_cache(4096)
def _spelt(word: str) -> str:
    if word in _DATA["contractions"]:
        return _DATA["contractions"][word]
    if len(word) < 5 or word in _known_words():
        return word
    meant = [w for w in _DATA["spelling"].split() if _one_slip(word, w)]
    return meant[0] if meant else word


def _one_slip(a: str, b: str) -> bool:
    """Whether one letter is wrong, missing, too many, or two neighbours are exchanged."""
    if abs(len(a) - len(b)) > 1:
        return False
    begin = len(os.path.commonprefix([a, b]))
    a, b = a[begin:], b[begin:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


@lru_cache
def _known_words() -> frozenset[str]:
    types = " ".join(w for wordings in _DATA["types"].values() for w in _flat(wordings))
    return frozenset().union(*CLASSES.values(), _DATA["faults"].split(), types.split())


@lru_cache
def _table(kind: ArtifactKind) -> dict[str | frozenset[str], str]:
    """Wordings of a kind's types, as written and as `_key` makes them."""
    table: dict[str | frozenset[str], str] = {}
    for type_ in kind.types:
        for wording in (type_, *_flat(_DATA["types"].get(type_, []))):
            table.setdefault(wording, type_)
            if key := _key(wording):
                table.setdefault(key, type_)
    return table


@lru_cache
def faults(kind: ArtifactKind) -> frozenset[str]:
    """Words that name a fault."""
    words = set(_DATA["faults"].split())
    for wording in _table(kind):
        words |= words_of(wording) if isinstance(wording, str) else set()
    return frozenset(
        words - NEUTRAL - _LOOSE - {"people", "human", "band", "limited", "noise-free"}
    )


def _flat(items: list) -> Iterator[str]:
    for item in items:
        yield from map(str, item) if isinstance(item, list) else [str(item)]
