"""The wheel holds the package: every file of it, whatever its kind, and the command."""

import shutil
import subprocess
import sys
from zipfile import ZipFile

import pytest
from recipe import ROOT

PACKAGE = "speechqa_plugin"


def files_of(folder):
    return {
        str(file.relative_to(folder))
        for file in (folder / PACKAGE).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.name != ".DS_Store"
    }


@pytest.mark.slow
def test_every_file_of_the_package_is_in_the_wheel(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    source = tmp_path / "source"  # a build leaves files beside what it builds
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / PACKAGE, source / PACKAGE, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools.build_meta import build_wheel; build_wheel('..')"
    done = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as opened:
        names = set(opened.namelist())
        (entry,) = [name for name in names if name.endswith("entry_points.txt")]
        assert "speechqa = speechqa_plugin.cli:main" in opened.read(entry).decode()
    assert {name for name in names if name.startswith(f"{PACKAGE}/")} == files_of(ROOT)
    assert {"yaml", "json", "css", "js", "j2"} <= {name.rpartition(".")[2] for name in names}
