"""Environments that don't fit are named, with what to install; this one fits."""

import subprocess
import sys

import pytest

CHECK = ("-m", "speechqa_plugin.environment")
ERROR = "libtorchaudio.so: undefined symbol: torch_parse_device_string"


def run_python(cwd, *arguments):
    """With `cwd` first on the path, so that what lies there hides what is installed."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def pretend(folder, name, version, *needs):
    """What pip writes of an installed package."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    file = folder / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
    file.parent.mkdir()
    file.write_text("\n".join([*lines, *(f"Requires-Dist: {n}" for n in needs), ""]), "utf-8")


@pytest.fixture
def broken_pair(tmp_path):
    """A torchaudio that can't load, and the line that says so."""
    (tmp_path / "torch.py").write_text("__version__ = '2.13.0+cpu'", "utf-8")
    (tmp_path / "torchaudio.py").write_text(f"raise OSError({ERROR!r})", "utf-8")
    pretend(tmp_path, "torchaudio", "2.11.1")
    return (
        f"torch 2.13.0+cpu and torchaudio 2.11.1 don't load together ({ERROR}); both must be built "
        "for the same torch and CUDA: pip install --force-reinstall 'torch>=2' 'torchaudio<3'"
    )


@pytest.mark.slow
def test_this_environment_fits(tmp_path):
    result = run_python(tmp_path, *CHECK)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_torchaudio_of_another_torch(broken_pair, tmp_path):
    pretend(tmp_path, "speechqa-plugin", "0.1.0", "torch>=2", "torchaudio<3")
    result = run_python(tmp_path, *CHECK)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [broken_pair]


def test_the_assessor_says_it_too(broken_pair, tmp_path):
    (tmp_path / "speechbrain.py").write_text("import torchaudio", "utf-8")
    pretend(tmp_path, "speechqa-plugin", "0.1.0", "torch>=2", "torchaudio<3")
    result = run_python(tmp_path, "-c", "from speechqa_plugin import SpeechQualityAssessor")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"ImportError: {broken_pair}"


def test_what_fits_and_still_fails_is_raised_as_it_is(tmp_path):
    for name in ("torch", "torchaudio"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "speechbrain.py").write_text("raise OSError('disk on fire')", "utf-8")
    result = run_python(tmp_path, "-c", "from speechqa_plugin import SpeechQualityAssessor")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "OSError: disk on fire"


def test_releases_outside_of_the_range_and_packages_that_are_not_there(tmp_path):
    for name in ("torch", "torchaudio"):
        (tmp_path / f"{name}.py").touch()
    needs = ("peft>=0.18,<1", "absent>=3", 'neither; extra == "test"', "numpy")
    pretend(tmp_path, "speechqa-plugin", "0.1.0", *needs)
    pretend(tmp_path, "peft", "0.17.1")
    result = run_python(tmp_path, *CHECK)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "peft 0.17.1 is installed; need peft<1,>=0.18",
        "absent is not installed; need absent>=3",
    ]
