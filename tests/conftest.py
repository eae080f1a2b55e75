"""Settings for every test: no network, one thread, nothing left behind."""

from __future__ import annotations

import os
import sys

# Set before any test module imports a library that reads them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Two pools of threads on two cores make small tensors slower, not faster.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile(
    "project", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("project")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Let hypothesis live with SpeechBrain, and skip `gpu` tests where there is no device."""
    # Both libraries are looked up only if a test needs them: the pure core's do not.
    if "speechbrain" in sys.modules:
        from speechbrain.utils.importutils import LazyModule

        # Hypothesis asks every module for its file, on which these would import k2 and fail.
        LazyModule.__file__ = None
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
