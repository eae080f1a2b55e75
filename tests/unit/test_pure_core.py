"""What decides the science runs, and passes its tests, where torch is not installed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchaudio", "transformers", "speechbrain")
PURE_MODULES = (
    "files",
    "schema",
    "annotations",
    "manifest",
    "sources",
    "scoring.filters",
    "scoring.lock",
    "scoring.results",
    "scoring.shares",
    "scoring.summary",
    "ahead",
    "text",
    "text.answers",
    "text.prompts",
    "text.sections",
    "hparams",
    "metrics",
    "evaluation.records",
    "evaluation.summary",
    "evaluation.tallies",
    "report",
    "ratings.dimensions",
    "ratings.splits",
    "ratings.table",
    "rewards",
    "windows",
    "activity",
    "channels",
    "heard",
)

# Looks to Python like an environment without these packages.
WITHOUT_HEAVY = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""


def run_python(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_missing_packages_are_really_missing():
    result = run_python(WITHOUT_HEAVY + "import torch")
    assert result.returncode == 1
    assert "ModuleNotFoundError: No module named 'torch'" in result.stderr


def test_the_package_itself_imports_nothing_heavy():
    code = f"import sys, speechqa_plugin; print(sorted(set({HEAVY}) & set(sys.modules)))"
    result = run_python(code)
    assert result.stdout == "[]\n", result.stderr


@pytest.mark.parametrize("name", PURE_MODULES)
def test_module_imports(name):
    result = run_python(WITHOUT_HEAVY + f"import speechqa_plugin.{name}")
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_unit_tests_of_the_pure_core_pass(capsys):
    package = ROOT / "speechqa_plugin"
    tests, doctests = [], []
    for name in PURE_MODULES:
        file_name = name.replace(".", "_")
        tests += (found := list((ROOT / "tests/unit").glob(f"test_{file_name}*.py")))
        assert found, f"tests/unit/test_{file_name}.py is missing"
        file = package.joinpath(*name.split(".")).with_suffix(".py")
        doctests.append(file if file.is_file() else file.with_suffix(""))
    start = time.perf_counter()
    result = run_python(
        WITHOUT_HEAVY + "import pytest; sys.exit(pytest.main(sys.argv[1:]))",
        *("-q", "-p", "no:cacheprovider", *tests, *doctests),
    )
    assert result.returncode == 0, result.stdout
    summary = result.stdout.strip().splitlines()[-1]
    with capsys.disabled():
        print(f"\npure core without torch, {time.perf_counter() - start:.0f} s: {summary}")
