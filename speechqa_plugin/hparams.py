"""One YAML file made of several: the key ``include``, which HyperPyYAML lacks.

HyperPyYAML's own ``!include:`` puts a file below a key. A recipe needs its keys at the top, where
``!ref`` and the command line reach them::

    include: [af3.yaml, tiny.yaml]    # beside this file; they may include others
    lr: 1.0e-3                        # replaces what they say
"""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import Comment

INCLUDE = "include"
_temporary: list[Path] = []


def with_includes(path: str | os.PathLike) -> str:
    r"""Path of a file that says by itself what this one says with those that it includes.

    Files are taken in their order, what includes them last. A later value replaces an earlier
    one; a plain mapping (without a tag such as ``!new:``) is merged into an earlier mapping.
    References are not resolved yet, so a value that a later file replaces is replaced wherever
    an earlier file refers to it.

    Arguments
    ---------
    path : str or path
        A HyperPyYAML file.

    Returns
    -------
    str
        ``path`` itself if it includes nothing, else a temporary file that is gone when the
        process ends.

    Raises
    ------
    ValueError
        If files include each other in a circle, a file holds no keys or ``include`` no list.
    FileNotFoundError
        If an included file is not there.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "whole.yaml").write_text("lr: 0.1\nrates: !ref <lr> * 2\n")
    >>> _ = (folder / "tiny.yaml").write_text("include: [whole.yaml]\nlr: 1\n")
    >>> print(Path(with_includes(folder / "tiny.yaml")).read_text().strip())
    lr: 1
    rates: !ref <lr> * 2
    """
    whole, included = _read(Path(path), ())
    if not included:
        return os.fspath(path)
    handle, name = tempfile.mkstemp(prefix=f"{Path(path).stem}-", suffix=".yaml")
    _temporary.append(Path(name))
    with open(handle, "w", encoding="utf-8") as out:
        YAML().dump(whole, out)
    return name


@atexit.register
def remove_temporary() -> None:
    """Remove the files that `with_includes` made, for a process that ends by ``os._exit``."""
    while _temporary:
        _temporary.pop().unlink(missing_ok=True)


def _read(path: Path, parents: tuple[Path, ...]) -> tuple[Mapping, bool]:
    path = path.resolve()  # one file, by whatever way
    if path in parents:
        circle = " includes ".join(p.name for p in (*parents[parents.index(path) :], path))
        raise ValueError(f"{path}: {circle}; take one of them out")
    own = _without_comments(YAML().load(path.read_text(encoding="utf-8")))
    if not isinstance(own, Mapping):
        raise ValueError(f"{path}: need keys with values, as in `lr: 0.1`")
    names = own.pop(INCLUDE, None)
    if names is None:
        return own, False
    if not isinstance(names, list):
        raise ValueError(f"{path}: {INCLUDE} is {names!r}; need a list, as in [{names}]")
    whole = {}
    for part in [*(_read(path.parent / name, (*parents, path))[0] for name in names), own]:
        whole = _merged(whole, part) if whole else part
    return whole, True


def _without_comments(node):
    """Comments that come to stand in another file's place can be written between tag and value."""
    children = node.values() if isinstance(node, Mapping) else node
    if isinstance(node, (Mapping, list)):
        for child in children:
            _without_comments(child)
        if hasattr(node, Comment.attrib):
            delattr(node, Comment.attrib)
    return node


def _merged(old: Mapping, new: Mapping) -> Mapping:
    for key, value in new.items():
        plain = isinstance(value, Mapping) and not value.tag.value
        if plain and isinstance(old.get(key), Mapping):
            _merged(old[key], value)
        else:
            old[key] = value
    return old
