"""The enhancement recipe: quality is added to it in a few lines, and can be taken away again."""

import re

import pytest
import recipe
from readmes import blocks
from recipe import ROOT
from tiny import trained_answerer

from speechqa_plugin.export import export_assessor

FOLDER = ROOT / "recipes/EnhancementQuality"
SCRIPT = FOLDER / "enhance.py"
HPARAMS = FOLDER / "hparams/enhance.yaml"
HEADING = "# Quality: "


def added_yaml():
    return HPARAMS.read_text(encoding="utf-8").partition(HEADING)[2].splitlines()[1:]


def is_added(line):
    return line.endswith("# quality")


def run(script, hparams, folder, **settings):
    settings = {
        "output_folder": folder / "out",
        "data_folder": folder / "data",
        "number_of_epochs": 2,
        "n_clips": "{train: 8, valid: 2, test: 2}",
        **settings,
    }
    result = recipe.run(script, hparams, *(f"--{k}={v}" for k, v in settings.items()))
    assert result.returncode == 0, result.stderr
    return (folder / "out/train_log.txt").read_text()


def test_ten_lines_of_yaml_and_three_of_python_are_what_the_readme_shows():
    assert len(added_yaml()) <= 10
    (shown,) = blocks((FOLDER / "README.md").read_text(encoding="utf-8"), "yaml")
    assert shown.splitlines() == added_yaml()
    assert len([x for x in SCRIPT.read_text(encoding="utf-8").splitlines() if is_added(x)]) == 3


@pytest.mark.slow
def test_the_log_has_the_quality_of_what_was_enhanced(tmp_path):
    model = export_assessor(trained_answerer(), tmp_path / "model")
    log = run(SCRIPT, HPARAMS, tmp_path, quality_model=model)
    found = [float(value) for value in re.findall(r"(?:valid|test) mos: (\S+)", log)]
    assert len(found) == 3 and all(1 <= value <= 5 for value in found)
    first, last = (float(value) for value in re.findall(r"valid loss: (\S+?),", log))
    assert last < first


@pytest.mark.slow
def test_without_those_lines_it_is_the_recipe_that_it_was(tmp_path):
    script = [x for x in SCRIPT.read_text(encoding="utf-8").splitlines() if not is_added(x)]
    text = "\n".join(script)
    (tmp_path / "enhance.py").write_text(text)
    (tmp_path / "enhance.yaml").write_text(HPARAMS.read_text("utf-8").partition(HEADING)[0])
    log = run(tmp_path / "enhance.py", tmp_path / "enhance.yaml", tmp_path)
    assert "valid loss" in log and "mos" not in log
