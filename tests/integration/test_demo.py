"""The demo's order of events and its last words, without its quarter of an hour."""

import importlib.util
import json
from types import SimpleNamespace

import pytest
from recipe import ROOT

ROWS = [
    {"id": "t0", "duration_s": 4.0, "reference": {"artifacts": []}},
    {
        "id": "t1",
        "duration_s": 4.0,
        "reference": {
            "artifacts": [{"kind": "noise", "type": "babble", "start_s": 1.0, "end_s": 2.0}]
        },
    },
]


@pytest.fixture
def demo(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "recipes/SimulatedSQA"))
    spec = importlib.util.spec_from_file_location("demo", ROOT / "recipes/SimulatedSQA/demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_answer_stands_beside_what_is_right_and_nothing_calls_it_a_success(
    demo, tmp_path, monkeypatch, capsys
):
    commands = []

    def run(*command, **kwargs):
        commands.append(command)
        return SimpleNamespace(stdout='{"scores": {"mos": 5.0}}\n')

    monkeypatch.setattr(demo, "run", run)
    monkeypatch.chdir(tmp_path)
    records = tmp_path / "results/demo/evaluation/best/reasoned/records.jsonl"
    records.parent.mkdir(parents=True)
    records.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    demo.main()
    scripts = [command[1].rpartition("/")[2] for command in commands[:4]]
    assert scripts == ["five_recordings.py", "assess", "train.py", "evaluate.py"]
    heard = [f"results/demo/recordings/{name}.wav" for name in demo.RECORDINGS]
    assert list(commands[1][2:]) == heard
    for command in commands[4:]:  # for people, then as JSON
        assert command[1:3] == ("assess", "data/simulated/clips/test/t1.wav")
    said = capsys.readouterr().out
    right = said.index("What the simulation did to it:")
    assert '"type": "babble"' in said[right:] and "The demo took" in said[right:]
    assert not [word for word in ("success", "correct", "works") if word in said.lower()]
    assert (tmp_path / "results/demo/assessment.json").read_text() == '{"scores": {"mos": 5.0}}\n'
