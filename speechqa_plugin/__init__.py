"""Explaining speech quality with audio LLMs, inside SpeechBrain.

Importing this package imports neither torch nor SpeechBrain; `SpeechQualityAssessor` does, when it
is first asked for. It makes ``speechbrain.inference.quality`` importable, see `register`.
"""

import importlib.abc
import importlib.util
import pathlib
import sys

__version__ = "0.1.0"

__all__ = ["EMBEDDED", "SpeechQualityAssessor", "embedded_folder", "register"]

EMBEDDED = pathlib.Path(__file__).with_name("embedded")
"""Folder of the model that comes with the package."""


def embedded_folder():
    """`EMBEDDED` as a string, for YAML files: ``!apply:speechqa_plugin.embedded_folder []``."""
    return str(EMBEDDED)


_ALIASES = {"speechbrain.inference.quality": "speechqa_plugin.inference"}


def __getattr__(name):
    if name != "SpeechQualityAssessor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module("speechqa_plugin.inference").SpeechQualityAssessor
    except (ImportError, OSError, RuntimeError) as error:
        from speechqa_plugin.environment import unfit_packages

        # What SpeechBrain raises where torchaudio doesn't fit torch says not what to install.
        if lines := unfit_packages():
            raise ImportError("\n".join(lines)) from error
        raise


def __dir__():
    return sorted({*globals(), *__all__})


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
