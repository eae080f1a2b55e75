"""A recipe's folder stands alone: copied anywhere, on any system, it runs."""

import ast
import shutil

import pytest
import recipe
from recipe import ROOT

RECIPES = ROOT / "recipes"
FOLDERS = sorted(f.parent for f in RECIPES.glob("*/train.py"))
MADE = ("data", "results", "__pycache__")
"""What a user's runs leave in a recipe's folder."""


def own_files():
    """Files of the recipes, without what runs left there."""
    for path in RECIPES.rglob("*"):
        if not set(MADE) & set(path.relative_to(RECIPES).parts):
            yield path


def test_nothing_is_a_link():
    found = list(own_files())
    assert RECIPES / "QualiSpeech/train.py" in found
    assert not [f for f in found if f.is_symlink()]


def test_nothing_changes_where_python_looks():
    scripts = [f for f in own_files() if f.suffix == ".py"]
    assert not [f for f in scripts if "sys.path" in f.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", ["train.py", "evaluate.py"])
def test_scripts_do_the_same_in_every_folder(name):
    assert len(FOLDERS) > 1
    ours, *others = [ast.parse((f / name).read_text(encoding="utf-8")) for f in FOLDERS]
    for tree in (ours, *others):
        assert ast.get_docstring(tree)
        del tree.body[0]  # each names commands of its own
    assert all(ast.dump(other) == ast.dump(ours) for other in others)


@pytest.mark.slow
def test_a_copied_folder_trains_and_evaluates(corpus, tmp_path):
    copy = shutil.copytree(recipe.RECIPE, tmp_path / "mine", ignore=shutil.ignore_patterns(*MADE))
    arguments = ["train.py", corpus, tmp_path / "out"]
    settings = {"hparams": copy / recipe.HPARAMS.relative_to(recipe.RECIPE)}
    settings |= {"number_of_epochs": 1, "evaluation_forms": "[scores]"}
    _, *options = recipe.command(*arguments, **settings)
    result = recipe.run(copy / "train.py", *options)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out/exported/audio_llm.ckpt").is_file()
    assert (tmp_path / "out/train.py").read_text() == (copy / "train.py").read_text()
    other = [f"--evaluation_folder={tmp_path}/other", "--distributed_backend=gloo"]
    result = recipe.run(copy / "evaluate.py", *options, *other, processes=2)
    assert result.returncode == 0, result.stdout + result.stderr
    ours, theirs = (
        (tmp_path / folder / "best/scores/records.jsonl").read_text().splitlines()
        for folder in ("out/evaluation", "other")
    )
    assert len(ours) == len(theirs) == 5
