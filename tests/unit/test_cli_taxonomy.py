"""`speechqa taxonomy`, and the shell's completion of commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from speechqa_plugin.cli import app
from speechqa_plugin.schema import load_taxonomy, taxonomy_names

SPEECHQA = Path(sys.executable).with_name("speechqa")
OWN = load_taxonomy("nisqa").to_dict()


def speechqa(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def own(folder, **changes):
    path = folder / "own.yaml"
    data = {k: v for k, v in {**OWN, **changes}.items() if v is not None}
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    load_taxonomy.cache_clear()
    return path


def changed(**fields):
    """The dimensions with one changed in these fields; None takes one out."""
    first, *rest = OWN["dimensions"]
    return [{k: v for k, v in {**first, **fields}.items() if v is not None}, *rest]


def test_a_taxonomy_of_ours():
    taxonomy = load_taxonomy("qualispeech")
    result = speechqa("taxonomy", "qualispeech")
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    assert said.startswith("qualispeech: 7 dimensions, the overall one is mos")
    for dimension in taxonomy.dimensions:
        assert f"{dimension.name} {dimension.title} 1 {dimension.anchors[0]}" in said
    for kind in taxonomy.kinds:
        assert f"{kind.name} {kind.dimension} {kind.types[0]}" in said
    lines = result.stdout.splitlines()
    (speed,) = [line for line in lines if line.startswith("speed ") and "1 very slow" in line]
    assert speed.endswith(" 3")  # a magnitude
    assert max(map(len, result.stdout.splitlines())) <= 120


def test_its_help_names_all_of_ours():
    assert {"nisqa", "qualispeech", "wide"} <= set(taxonomy_names())
    said = " ".join(speechqa("taxonomy", "--help").stdout.replace("│", "").split())
    assert f"one of ours: {', '.join(taxonomy_names())}." in said


def test_a_file_of_your_own(tmp_path):
    result = speechqa("taxonomy", own(tmp_path, name="own"))
    assert result.exit_code == 0
    assert result.stdout.startswith("own: 5 dimensions") and "no kinds of artifact" in result.stdout
    kinds = [{"name": "hiss", "dimension": "noi"}]
    assert "any words" in speechqa("taxonomy", own(tmp_path, name="other", kinds=kinds)).stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"overall": "quality"}, "overall 'quality' is none of"),
        ({"kinds": None}, "it: has no kinds; need name, overall"),
        ({"version": 2}, "it: has too much; found version, which it may not have"),
        ({"dimensions": {"noi": 1}}, "dimensions: found {'noi': 1}, need a list"),
        ({"dimensions": ["noi"]}, "dimension 1 of 1: found 'noi', need the keys name, title"),
        ({"dimensions": changed(title=None)}, "dimension 1 of 5: has no title; need"),
        ({"dimensions": changed(best=3)}, "dimension 1 of 5: has too much; found best"),
        ({"dimensions": changed(anchors="abcde")}, "anchors: found 'abcde', need a list"),
        ({"dimensions": changed(anchors=["a"])}, "'noi': 1 anchors, need 5"),
        ({"dimensions": changed(anchors=[False, "b", "c", "d", "e"])}, "False is not one line"),
        ({"dimensions": changed(title=3)}, "3 is not one line of plain words"),
        ({"dimensions": changed(magnitude="yes")}, "magnitude is 'yes'; need true or false"),
        ({"dimensions": changed(name="Noi")}, "'Noi' is not a lower-case identifier"),
        ({"kinds": [{"name": "x", "dimension": "y"}]}, "kind 'x' points to dimension 'y'"),
        ({"kinds": [{"name": "x"}]}, "kind 1 of 1: has no dimension"),
        ({"kinds": [{"name": "x", "dimension": "noi", "types": "a"}]}, "types: found 'a', need a"),
    ],
)
def test_a_file_with_a_mistake(tmp_path, changes, message):
    path = own(tmp_path, **changes)
    result = speechqa("taxonomy", path)
    assert result.exit_code == 2 and not result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"speechqa: taxonomy file {path}: ") and message in line


def test_what_is_no_taxonomy(tmp_path):
    assert "ours are ['nisqa'" in speechqa("taxonomy", "nope").stderr
    assert "no file" in speechqa("taxonomy", tmp_path / "nope.yaml").stderr
    for text, message in [
        ("name: x\n overall: y\n", ", line 2: is no YAML (mapping values"),
        ("- a\n", ": it: found ['a'], need the keys name"),
        ("", ": it: found None"),
    ]:
        (tmp_path / "own.yaml").write_text(text)
        load_taxonomy.cache_clear()
        assert f"own.yaml{message}" in speechqa("taxonomy", tmp_path / "own.yaml").stderr
    (tmp_path / "own.yaml").write_bytes(b"name: \xe4\n")
    assert "own.yaml: is no YAML ('utf-8'" in speechqa("taxonomy", tmp_path / "own.yaml").stderr
    (tmp_path / "own.json").write_text("{}")
    for other in (tmp_path, tmp_path / "own.json"):
        result = speechqa("taxonomy", other)
        assert result.exit_code == 2 and "a file whose name ends in .yaml" in result.stderr


def test_it_imports_nothing_heavy():
    code = """
import sys
from speechqa_plugin.cli import app
try:
    app(["taxonomy", "nisqa"])
except SystemExit:
    pass
print(sorted({"torch", "speechbrain", "transformers", "scipy"} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr


# --- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands_and_options(shell, tmp_path):
    def complete(line, word):
        environment = {
            **os.environ,
            "_SPEECHQA_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(word),
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        result = subprocess.run([SPEECHQA], capture_output=True, text=True, env=environment)
        return result.stdout

    assert "taxonomy" in complete("speechqa ta", 1)
    assert "--resume" in complete("speechqa score --re", 2)
    assert "qualispeech" in complete("speechqa taxonomy q", 2)


def test_it_is_installed_by_an_option(tmp_path):
    """For the shell that runs it: here bash, in a home of its own."""
    environment = {**os.environ, "HOME": str(tmp_path)}
    script = f"{SPEECHQA} --install-completion; exit $?"  # not by exec: its parent is the shell
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert "bash completion installed in" in result.stdout
    assert "speechqa" in (tmp_path / ".bashrc").read_text()
    (file,) = tmp_path.glob(".bash_completions/speechqa.sh")
    assert "_SPEECHQA_COMPLETE" in file.read_text()
