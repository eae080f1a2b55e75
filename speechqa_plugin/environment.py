"""Whether the installed packages fit this one and each other, in words that say what to install.

Two packages can each be allowed and not load together: torchaudio holds code compiled for one torch
and CUDA. ``python -m speechqa_plugin.environment`` prints what doesn't fit and then exits with 1.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement


def unfit_packages() -> list[str]:
    """What doesn't fit, a line each; imports torch and torchaudio to find out.

    Returns
    -------
    list of str
        Packages that are missing or outside of the range that is asked for, and torch with
        torchaudio if they don't load together. Empty if all is well.
    """
    try:
        needed = [Requirement(line) for line in requires("speechqa-plugin") or ()]
    except PackageNotFoundError:  # a checkout on PYTHONPATH: nothing here says what it needs
        needed = []
    needed = [r for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    found = []
    for requirement in needed:
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            found.append(f"{requirement.name} is not installed; need {requirement}")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            found.append(f"{requirement.name} {installed} is installed; need {requirement}")
    return found + _unfit_pair({r.name: str(r) for r in needed})


def _unfit_pair(needed: dict[str, str]) -> list[str]:
    """Torch and torchaudio, tried; `needed` holds what is asked for of each."""
    try:
        import torch
    except ModuleNotFoundError:
        return []
    try:
        importlib.import_module("torchaudio")
    except ModuleNotFoundError:
        return []
    except (ImportError, OSError, RuntimeError) as error:
        # Not metadata's version of torch, which leaves out what it was built for ("+cpu").
        pair = f"torch {torch.__version__} and torchaudio {version('torchaudio')}"
        install = " ".join(f"'{needed.get(name, name)}'" for name in ("torch", "torchaudio"))
        return [
            f"{pair} don't load together ({error}); both must be built for the same torch and "
            f"CUDA: pip install --force-reinstall {install}"
        ]
    return []


if __name__ == "__main__":
    sys.exit("\n".join(unfit_packages()) or None)
