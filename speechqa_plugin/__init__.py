"""Explaining speech quality with audio LLMs, inside SpeechBrain.

Importing this package imports neither torch nor SpeechBrain. It makes
``speechbrain.inference.quality`` importable, see `register`.
"""

import importlib.abc
import importlib.util
import sys

__version__ = "0.1.0"

_ALIASES = {"speechbrain.inference.quality": "speechqa_plugin.inference"}


class _AliasFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for our names in SpeechBrain's namespace when somebody imports them."""

    def find_spec(self, name, path=None, target=None):
        if name not in _ALIASES:
            return None
        return importlib.util.spec_from_loader(name, self, origin=_ALIASES[name])

    def create_module(self, spec):
        """Python's own empty module, which `exec_module` replaces."""

    def exec_module(self, module):
        """Hand out our module under the other name, whole and once."""
        sys.modules[module.__name__] = importlib.import_module(_ALIASES[module.__name__])


def register() -> None:
    """Make ``from speechbrain.inference.quality import SpeechQualityAssessor`` work.

    Done when this package is imported; calling it again changes nothing. A module of that name in
    SpeechBrain itself would come first.

    Example
    -------
    >>> register()
    >>> from speechbrain.inference.quality import SpeechQualityAssessor
    >>> SpeechQualityAssessor.__name__
    'SpeechQualityAssessor'
    """
    if not any(isinstance(finder, _AliasFinder) for finder in sys.meta_path):
        sys.meta_path.append(_AliasFinder())


register()
