"""Tables, figures, and the command that makes them."""

import importlib.util
import sys
from pathlib import Path

import pytest
from made_records import (
    NISQA,
    PAIRS,
    QUALISPEECH,
    TIMELINES,
    assessment,
    hum,
    record,
    rows,
    scored,
)

from speechqa_plugin.evaluation.records import constant_records, write_records, write_summary
from speechqa_plugin.evaluation.summary import summarise
from speechqa_plugin.report.figures import score_histograms
from speechqa_plugin.report.tables import kind_table, paper_table, score_table
from speechqa_plugin.schema import Artifact, load_taxonomy

ROOT = Path(__file__).parents[2]


class Judge:
    name = "judge"

    def __call__(self, predictions, references):
        return [None, *(0.25 for _ in predictions[1:])]


def reasoned():
    """Noise is found in two of three clips; the times of a distortion in one of two are right."""
    clip = Artifact("distortion", "clipping", 0, 4)
    pairs = [
        (assessment(1.0, hum(0, 8), clip, speed=3), assessment(1.5, hum(0, 8), clip, speed=4)),
        (assessment(2.0, hum(0, 8), clip, speed=2), assessment(2.5, hum(0, 8), speed=5)),
        (assessment(5.0, hum(0, 8), speed=1), assessment(3.0, speed=1)),
    ]
    return [record(r, p, id=str(i)) for i, (r, p) in enumerate(pairs)]


def parse(table):
    head, _, *lines = [[c.strip() for c in x.strip("|").split("|")] for x in table.splitlines()]
    return {line[0]: dict(zip(head, line, strict=True)) for line in lines}


def test_systems_stand_below_the_published_rows():
    summaries = {
        "ours": summarise(reasoned(), rewards=[Judge()]),
    }
    table = parse(paper_table(summaries, QUALISPEECH, "judge"))
    assert list(table)[-1] == "ours" and len(table) == 6
    published = table["paper, LLM judge (arXiv 2603.10175)"]
    assert list(published.values())[1:] == [
        *("–", "–", "0.71", "0.76", "–", "0.77", "0.84", "–", "–", "0.83", "–")
    ]
    ours, s = table["ours"], summaries["ours"]
    mean = "{:.2f} [{:.2f}, {:.2f}]".format(*s["mean"]["utt/pcc_without_magnitude"])
    speed = "{:.2f} [{:.2f}, {:.2f}]".format(*s["dimensions"]["speed"]["utt/pcc"])
    assert ours["mean PCC without speaking speed"] == mean
    assert (ours["n"], ours["PCC speaking speed"]) == ("3", speed)
    assert ours["parse rate"] == "1.00"
    mos = "{:.2f} [{:.2f}, {:.2f}]".format(*s["dimensions"]["mos"]["utt/pcc"])
    assert ours["PCC overall quality"] == mos != speed
    assert ours["noise F1"] == "0.80"
    assert (ours["distortion IoU if found"], ours["distortion IoU"]) == ("1.00", "0.50")
    assert ours["distortion IoU, times = whole clip"] == "0.25"
    assert (ours["long text, judge"], ours["of n texts"]) == ("0.25", "2")


def test_what_a_system_does_not_have_is_a_dash():
    scores = summarise(constant_records(rows(1, 2, 5), rows(2)), "scores")
    table = parse(paper_table({"scores": scores, "ours": summarise(reasoned())}, QUALISPEECH))
    assert set(list(table["scores"].values())[3:]) == {"–"}
    assert table["ours"]["long text, judge"] == table["ours"]["of n texts"] == "–"
    with pytest.raises(KeyError, match="judge"):
        paper_table({"ours": summarise(reasoned())}, QUALISPEECH, "judge")


def test_a_taxonomy_without_a_magnitude_has_no_column_apart():
    nisqa = load_taxonomy("nisqa")
    records = constant_records(
        [r.utterance for r in reasoned_of(nisqa)], [r.utterance for r in reasoned_of(nisqa)]
    )
    head = paper_table({"a": summarise(records, "scores")}, nisqa).splitlines()[0]
    assert "| mean PCC " in head and "without" not in head


def reasoned_of(taxonomy):
    return [record(assessment(s, taxonomy=taxonomy), None, failure="x") for s in (1.0, 2.0)]


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_score_table_has_a_row_for_each_system_with_its_n_and_parse_rate():
    summaries = {
        "constant": summarise(constant_records(rows(1, 2, 5), rows(2))),
        "ours": summarise(scored([*PAIRS, (5, None, None)])),
    }
    with pytest.raises(KeyError):  # of two taxonomies
        score_table(summaries)
    summaries = {"ours": summaries["ours"], "read": summarise(scored(PAIRS))}
    head, _, ours, read = map(cells, score_table(summaries).splitlines())
    assert head[:6] == ["system", "n", "parse rate", "mean PCC [95 %]", "PCC (digit)", "RMSE"]
    assert head[6:] == list(NISQA.names)
    assert (ours[:3], read[:3]) == (["ours", "7", "0.86"], ["read", "6", "1.00"])
    mean = summaries["read"]["mean"]
    assert read[3] == "{:.2f} [{:.2f}, {:.2f}]".format(*mean["utt/pcc"])
    assert read[4:6] == ["–", f"{mean['rmse']:.2f}"]  # the other dimensions' digits are constant
    assert read[-1] == f"{summaries['read']['dimensions']['mos']['utt/pcc'][0]:.2f}"


def test_the_constant_has_dashes_for_correlations():
    table = score_table({"constant": summarise(constant_records(rows(1, 2, 5), rows(2)))})
    row = cells(table.splitlines()[-1])
    assert row[:6] == ["constant", "3", "1.00", "–", "–", "1.83"]
    assert row[6:] == ["–"] * len(QUALISPEECH.names)


def test_the_artifact_table_has_a_row_for_each_kind_with_its_n():
    head, _, *lines = map(cells, kind_table(summarise(TIMELINES)).splitlines())
    assert [row[0] for row in lines] == list(QUALISPEECH.kind_names)
    noise = dict(zip(head, lines[0], strict=True))
    assert noise["in n clips"] == "4"
    assert (noise["precision"], noise["recall"], noise["F1"]) == ("0.67", "0.50", "0.57")
    assert (noise["IoU"], noise["IoU if found"], noise["F1@0.5"]) == ("0.22", "0.54", "0.25")
    assert set(lines[2][1:]) == {"0", "–"}


def test_histograms_are_drawn(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path: drawn.append(self))
    summary = summarise(reasoned())
    score_histograms(summary, tmp_path / "a.svg")
    panels = {panel.get_title(): panel for panel in drawn[0].axes if panel.axison}
    assert len(panels) == len(QUALISPEECH.names)
    (speed,) = (panel for title, panel in panels.items() if title.startswith("speed, PCC "))
    bars = [bar.get_height() for bar in speed.patches]
    numbers = summary["dimensions"]["speed"]
    assert bars == numbers["reference_histogram"] + numbers["digit_histogram"]
    assert bars == [1, 1, 1, 0, 0, 1, 0, 0, 1, 1]


def test_without_matplotlib_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install '\.\[report\]'"):
        score_histograms(summarise(reasoned()), tmp_path / "a.svg")


@pytest.fixture(scope="module")
def command():
    path = ROOT / "recipes/SimulatedSQA/report.py"
    spec = importlib.util.spec_from_file_location("report", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_the_command_reads_what_evaluate_wrote(command, tmp_path, capsys):
    summary = summarise(reasoned(), rewards=[Judge()])
    for name in "ab":
        write_records(tmp_path / name, reasoned())
        write_summary(tmp_path / name, summary)
    folders = [str(tmp_path / name) for name in "ab"]
    figures = tmp_path / "new/figures"
    command([*folders, "--names", "one", "b/2", "--judge", "judge", "--figures", str(figures)])
    out = capsys.readouterr().out
    assert paper_table({"one": summary, "b/2": summary}, QUALISPEECH, "judge") in out
    assert sorted(p.name for p in figures.iterdir()) == ["b-2.svg", "one.svg"]
    assert all(p.read_text().startswith("<?xml") for p in figures.iterdir())
    with pytest.raises(SystemExit):
        command([*folders, "--names", "one", "one"])
