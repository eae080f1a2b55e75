"""What the READMEs say is so: their Python runs, their commands, files and options exist."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from unittest.mock import patch

import pytest
import soundfile
from readmes import blocks, commands
from recipe import ROOT
from ruamel.yaml import YAML
from speechbrain.utils.run_opts import RunOptions
from tiny import NOISY, RATE_HZ, trained_answerer
from typer.main import get_command

from speechqa_plugin.cli import app
from speechqa_plugin.export import export_assessor
from speechqa_plugin.hparams import with_includes
from speechqa_plugin.manifest import read_manifest
from speechqa_plugin.schema import load_taxonomy

READMES = [
    ROOT / "README.md",
    ROOT / "benchmarks/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "recipes").glob("*/*.md")),  # README.md and RESULTS.md
]
SCRIPTS = sorted((ROOT / "recipes").glob("*/*.py"))


def documented_commands():
    """Where it stands, the folder it starts in, and the commands of a block."""
    for file in READMES:
        found = blocks(file.read_text(encoding="utf-8"), "bash")
        if file.parent.name == "docs":  # a how-to goes on from block to block
            found = ["\n".join(found)]
        for block in found:
            yield str(file.relative_to(ROOT)), file.parent, block
    for file in SCRIPTS:
        text = file.read_text(encoding="utf-8")
        quoted = re.findall(r"^> (.*)$", text, re.MULTILINE)
        if quoted:
            yield str(file.relative_to(ROOT)), file.parent, "\n".join(quoted)


def run_python(code, folder):
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)


def provide(code, folder):
    """Put a tiny model, a clip and results where the code looks for them."""
    for source in re.findall(r'source="([^"]+)"', code):
        export_assessor(trained_answerer(), folder / source)
    for path in re.findall(r'"([^"]+\.wav)"', code):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / path, NOISY.numpy(), RATE_HZ, subtype="FLOAT")
    for path in re.findall(r'"([^"]+\.jsonl)"', code):
        scores = dict.fromkeys(load_taxonomy("qualispeech").names, 3)
        (folder / path).write_text(json.dumps({"path": "a.wav", "scores": scores}))


# --- Python


@pytest.mark.slow
@pytest.mark.parametrize("file", READMES, ids=lambda f: str(f.relative_to(ROOT)))
def test_python_runs_as_written(file, tmp_path):
    code = "\n".join(blocks(file.read_text(encoding="utf-8"), "python"))
    if not code:
        pytest.skip("has no Python")
    provide(code, tmp_path)
    result = run_python(code, tmp_path)
    assert result.returncode == 0, result.stderr
    if file == ROOT / "README.md":
        scores, description, *_ = result.stdout.splitlines()
        mos, noise, confidence = map(float, scores.split())
        assert 1 <= min(mos, noise) and max(mos, noise) <= 5 and 0 <= confidence <= 1
        assert description.endswith(".")
        assert len(code.strip().splitlines()) <= 10, "the ten-line example has more"


@pytest.mark.slow
def test_python_in_an_exported_folder_runs_as_written(tmp_path):
    folder = export_assessor(trained_answerer(), tmp_path / "model")
    (code,) = blocks((folder / "README.md").read_text(encoding="utf-8"), "python")
    provide(code, tmp_path)
    result = run_python(code, tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Noise lies there." in result.stdout


# --- commands


@pytest.mark.parametrize(
    ("start", "block"),
    [pytest.param(folder, block, id=where) for where, folder, block in documented_commands()],
)
def test_commands_name_what_is_there(start, block):
    folder, environment, venv = start, {}, ".venv"
    for program, *arguments in commands(block):
        if "|" in arguments:  # ours is the last
            last = len(arguments) - arguments[::-1].index("|")
            program, *arguments = arguments[last:]
        if program == "cd":
            there = [f / arguments[0] for f in (folder, ROOT) if (f / arguments[0]).is_dir()]
            assert there, f"cd {arguments[0]}: no such folder"
            folder = there[0]
        elif program == "make":
            subprocess.run(["make", "-n", *arguments], cwd=folder, check=True, capture_output=True)
        elif program == "source":
            made = [".venv/bin/activate", f"{venv}/bin/activate"]  # by the Makefile, or just now
            assert arguments[0] in made
        elif program == "python3":
            assert arguments[:2] == ["-m", "venv"]
            venv = arguments[2]
        elif program == "pip":
            check_extras(arguments)
        elif program == "speechqa":
            check_speechqa(arguments, environment)
        elif program == "export":
            environment.update(a.split("=", 1) for a in arguments)
        elif program in ("python", "torchrun"):
            if "speechqa_plugin.cli" in arguments:
                rest = arguments[arguments.index("speechqa_plugin.cli") + 1 :]
                check_speechqa(rest, environment)
                continue
            while arguments[0].startswith("-"):  # torchrun's own options
                arguments.pop(0)
            script, *rest = arguments
            assert (folder / script).is_file(), f"{script}: not in {folder}"
            check_script(folder, script, rest)
        else:
            pytest.fail(f"{program}: this test does not know how to check it")


def check_extras(arguments):
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extras in re.findall(r"\[(.*?)\]", " ".join(arguments)):
        assert set(extras.split(",")) <= set(known)


def check_speechqa(arguments, environment):
    """Let the command parse its arguments, without running it."""
    name, *rest = arguments
    if name.startswith("-"):
        own = {option for parameter in get_command(app).params for option in parameter.opts}
        assert name in {"--help", *own}
    else:
        with patch.dict(os.environ, environment):
            get_command(app).commands[name].make_context(name, rest)


def check_script(folder, script, arguments):
    if Path(script).name in ("train.py", "evaluate.py", "enhance.py"):
        hparams = folder / arguments[0]
        assert hparams.is_file(), f"{arguments[0]}: not in {folder}"
        overrides = RunOptions.from_command_line_args(arguments)[2]
        whole = Path(with_includes(hparams))
        check_keys(YAML().load(overrides) or {}, YAML().load(whole), hparams.name)
        return
    options = [a.partition("=")[0] for a in arguments if a.startswith("--")]
    if options:
        shown = subprocess.run(
            [sys.executable, script, "--help"], cwd=folder, capture_output=True, text=True
        )
        assert shown.returncode == 0, shown.stderr
        assert set(options) <= set(re.findall(r"--[\w-]+", shown.stdout))


def check_keys(overrides, hparams, where):
    for key, value in overrides.items():
        assert key in hparams, f"--{key} is no key of {where}"
        if isinstance(value, dict):
            check_keys(value, hparams[key], f"{where}: {key}")


@pytest.mark.parametrize(
    "command",
    [
        "python train.py hparams/calibration_compact.yaml --number_of_epoch=3",
        "python train.py hparams/calibration_compact.yaml --audio_llm='{encoder_width: 3}'",
        "python train.py hparams/calibration_large.yaml",
        "python train_all.py",
        "python simulated_prepare.py data save --speech_folder x",
        "make demos",
        "cd ../recipe",
        "speechqa assess",
        "speechqa score folder --out x.jsonl --model m --resumee",
        "pip install -e '.[everything]'",
        "rm -rf data",
    ],
)
def test_the_check_finds_what_is_not_there(command):
    with pytest.raises((Exception, pytest.fail.Exception)):
        test_commands_name_what_is_there(ROOT / "recipes/SimulatedSQA", command)


# --- everything else


@pytest.mark.parametrize("file", READMES, ids=lambda f: str(f.relative_to(ROOT)))
def test_links_point_to_something(file):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", file.read_text(encoding="utf-8"))
    assert not [link for link in links if not (file.parent / link).exists()]


def test_manifest_row_can_be_read(tmp_path):
    rows = blocks((ROOT / "README.md").read_text(encoding="utf-8"), "json")
    manifest = tmp_path / "manifest.jsonl"
    # The README breaks a row for the eye.
    manifest.write_text("".join(json.dumps(json.loads(row)) + "\n" for row in rows))
    (row,) = read_manifest(manifest, load_taxonomy("qualispeech"))
    assert row.reference is not None


def test_a_step_of_grpo_is_read_in_less_than_a_thousand_lines():
    folder = ROOT / "recipes/SimulatedSQA"
    rows = re.findall(r"\| `(\S+)` \| (\d+) \|", (folder / "README.md").read_text("utf-8"))
    files = [ROOT / name if name.startswith("speechqa") else folder / name for name, _ in rows]
    counted = [len(file.read_text("utf-8").splitlines()) for file in files]
    assert len(rows) == 6 and counted == [int(lines) for _, lines in rows]
    assert sum(counted) < 1000


def test_tree_names_every_part_of_the_package():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    (tree,) = [b for b in blocks(text, "") if "schema/  " in b]
    lines = [line for line in tree.splitlines() if line.startswith("  ")]
    named = {line.split()[0].rstrip("/") for line in lines}
    package = ROOT / "speechqa_plugin"
    there = {f.name for f in package.iterdir() if not f.name.startswith("_")}
    assert named == there - {".DS_Store"}
    for line in tree.splitlines():
        if line and not line.startswith(" "):
            assert os.path.exists(ROOT / line.split()[0]), line
