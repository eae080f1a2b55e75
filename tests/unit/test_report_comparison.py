"""Differences between systems on the same clips, and the command that prints them."""

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_records import QUALISPEECH, assessment, hum, record, rows

from speechqa_plugin.evaluation.records import constant_records, write_records
from speechqa_plugin.evaluation.summary import summarise
from speechqa_plugin.metrics import bootstrap_ci, pearson
from speechqa_plugin.report.comparison import (
    compare,
    comparison_table,
    gain_table,
    score_numbers,
)
from speechqa_plugin.schema import Artifact, Assessment

ROOT = Path(__file__).parents[2]
N = 60


def system(error, seed, artifacts=True):
    """Records of a system whose scores are off by this much; references are always the same."""
    truth, luck = np.random.default_rng(0), np.random.default_rng(seed)
    records = []
    for i in range(N):
        right = truth.uniform(1, 5, len(QUALISPEECH.names))
        said = np.clip(right + error * luck.normal(size=len(right)), 1, 5)
        there = (hum(0, 4),) if i % 3 else ()
        heard = (hum(luck.uniform(0, 3), 5),) if artifacts and luck.uniform() < 0.7 else ()
        reference, prediction = (
            Assessment(QUALISPEECH, dict(zip(QUALISPEECH.names, map(float, s), strict=True)), a)
            for s, a in ((right, there), (said, heard))
        )
        records.append(record(reference, prediction, id=f"clip-{i}"))
    return records


GOOD, BAD = system(0.5, 1), system(2.0, 2)


def test_numbers_of_a_system_are_those_of_its_summary():
    """The values and, with one run, the intervals."""
    summary, found = summarise(GOOD), compare([GOOD])
    assert {k: v["ours"] for k, v in found.items()} == {
        "mean/utt/pcc": pytest.approx(summary["mean"]["utt/pcc"]),
        "mean/utt/pcc_without_magnitude": pytest.approx(
            summary["mean"]["utt/pcc_without_magnitude"]
        ),
        "mos/utt/pcc": pytest.approx(summary["dimensions"]["mos"]["utt/pcc"]),
        "parse_rate": (1, 1, 1),
        "artifacts/f1": pytest.approx(summary["artifacts"]["f1"]),
        "artifacts/temporal_iou": pytest.approx(summary["artifacts"]["temporal_iou"]),
    }
    assert all(row.keys() == {"ours"} for row in found.values())


def test_the_difference_is_ours_minus_theirs_and_is_drawn_in_pairs():
    row = compare([GOOD], [BAD])["mos/utt/pcc"]
    ours, theirs, truth = (
        np.array([r.mos for r in side])
        for side in (
            [r.prediction for r in GOOD],
            [r.prediction for r in BAD],
            [r.utterance.reference for r in GOOD],
        )
    )
    expected = bootstrap_ci(lambda a, b, t: pearson(a, t) - pearson(b, t), ours, theirs, truth)
    assert row["difference"] == pytest.approx([row["ours"][0] - row["theirs"][0], *expected])
    assert 0 < row["difference"][1] < row["difference"][0] < row["difference"][2]
    swapped = compare([BAD], [GOOD])["mos/utt/pcc"]["difference"]
    assert swapped == pytest.approx([-row["difference"][i] for i in (0, 2, 1)])


def test_a_system_differs_from_itself_by_nothing():
    for row in compare([GOOD], [GOOD]).values():
        assert row["difference"] == (0, 0, 0)


def test_runs_are_averaged_and_paired_by_position():
    other = system(0.5, 3)
    found = compare([GOOD, BAD], [other, BAD])
    singles = [compare([run]) for run in (GOOD, BAD, other)]
    for name, row in found.items():
        alone = [single[name]["ours"][0] for single in singles]
        assert row["ours"][0] == pytest.approx((alone[0] + alone[1]) / 2)
        assert row["difference"][0] == pytest.approx((alone[0] - alone[2]) / 2)
    # The second pair is a run and itself: seeds in other pairs would leave a wide interval.
    low, high = found["mean/utt/pcc"]["difference"][1:]
    unpaired = compare([GOOD, BAD], [BAD, other])["mean/utt/pcc"]["difference"][1:]
    assert high - low < (unpaired[1] - unpaired[0]) / 3


def test_what_cannot_be_read_is_told():
    mute = [replace(r, prediction=None, digits={}, failure="empty") for r in GOOD[:15]]
    found = compare([mute + GOOD[15:]], [GOOD])["parse_rate"]
    assert (found["ours"][0], found["theirs"][0], found["difference"][0]) == (0.75, 1, -0.25)
    assert found["ours"][1] < 0.75 < found["ours"][2]
    rescued = [replace(r, failure="empty") for r in GOOD[:15]]
    assert compare([rescued + GOOD[15:]])["parse_rate"]["ours"][0] == 0.75


def test_scores_alone_have_no_rows_on_artifacts():
    silent = system(0.5, 1, artifacts=False)
    assert list(compare([silent])) == [
        *("mean/utt/pcc", "mean/utt/pcc_without_magnitude", "mos/utt/pcc", "parse_rate")
    ]
    assert len(compare([silent], [GOOD])) == 6  # one that names some is compared in them


def test_false_alarms_on_clean_references_have_no_rows_on_artifacts():
    clean = [record(assessment(v), assessment(v, hum(0, 1)), id=str(v)) for v in (1, 2, 4)]
    assert "artifacts/f1" not in compare([clean])
    untimed = [
        record(assessment(v, hum()), assessment(v, Artifact("noise", "hiss")), id=str(v))
        for v in (1, 2, 4)
    ]
    assert compare([untimed])["artifacts/f1"]["ours"] == (1, 1, 1)
    assert "artifacts/temporal_iou" not in compare([untimed])


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="no records to compare"):
        compare([])
    with pytest.raises(ValueError, match="no records to compare"):
        compare([[]])
    with pytest.raises(ValueError, match="2 and 1 runs; they are paired"):
        compare([GOOD, BAD], [GOOD])
    with pytest.raises(ValueError, match="run 2 has 59 clips, run 1 has 60"):
        compare([GOOD], [GOOD[1:]])
    with pytest.raises(ValueError, match="run 2 has clip 'clip-1' where run 1 has 'clip-0'"):
        compare([GOOD], [[GOOD[1], GOOD[0], *GOOD[2:]]])
    relabelled = replace(GOOD[0], utterance=replace(GOOD[0].utterance, reference=assessment(1)))
    with pytest.raises(ValueError, match="clip 'clip-0' has another reference in run 2"):
        compare([GOOD], [[relabelled, *GOOD[1:]]])


def test_a_constant_has_dashes():
    constant = constant_records(rows(1, 2, 5), rows(2))
    found = compare([constant])
    assert all(math.isnan(v) for v in found["mean/utt/pcc"]["ours"])
    assert comparison_table(found).splitlines()[2].split("|")[2].strip() == "–"


# --- the command


@pytest.fixture(scope="module")
def command():
    path = ROOT / "recipes/SimulatedSQA/compare.py"
    spec = importlib.util.spec_from_file_location("compare", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, records in {"good": GOOD, "bad": BAD, "other": system(0.5, 3)}.items():
        write_records(folder / name, records)
    return {n: str(folder / n / "records.jsonl") for n in ("good", "bad", "other")}


def table(capsys):
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    head, _, *rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    return head, {row[0]: row[1:] for row in rows}


def test_the_command_compares_two_files(command, files, capsys):
    command([files["good"], files["bad"]])
    head, found = table(capsys)
    assert head == ["[95 %]", "A", "B", "A − B"]
    expected = compare([GOOD], [BAD])
    assert list(found) == list(expected)
    ours, _, difference = found["mean/utt/pcc"]
    assert ours == "{:.3f} [{:.3f}, {:.3f}]".format(*expected["mean/utt/pcc"]["ours"])
    assert difference == "{:+.3f} [{:+.3f}, {:+.3f}]".format(
        *expected["mean/utt/pcc"]["difference"]
    )


def test_the_command_takes_runs(command, files, capsys):
    command(["--a", files["good"], files["other"], "--b", files["bad"], files["bad"]])
    head, found = table(capsys)
    assert len(head) == 4 and len(found) == 6
    command(["--a", files["good"], files["other"]])
    alone = table(capsys)
    assert alone[0] == ["[95 %]", "A"]
    assert {k: v[:1] for k, v in found.items()} == alone[1]


@pytest.mark.parametrize("arguments", [[], ["x"], ["x", "y", "z"], ["x", "y", "--a", "z"]])
def test_the_command_refuses(command, arguments, capsys):
    with pytest.raises(SystemExit):
        command(arguments)
    assert "error: " in capsys.readouterr().err


# --- what training gained

OF_MOS = [n for n in score_numbers(QUALISPEECH) if n.name.startswith("mos/")]


def test_gains_of_a_dimension_are_the_summaries_numbers():
    assert len(score_numbers(QUALISPEECH)) == 3 * len(QUALISPEECH.names)
    found = compare([GOOD], [BAD], OF_MOS)
    assert list(found) == ["mos/utt/pcc", "mos/utt/srcc", "mos/rmse"]
    ours, theirs = (summarise(run)["dimensions"]["mos"] for run in (GOOD, BAD))
    for key in ("utt/pcc", "utt/srcc", "rmse"):
        row = found[f"mos/{key}"]
        for side, numbers in (("ours", ours), ("theirs", theirs)):
            value = getattr(numbers[key], "value", numbers[key])
            assert row[side].value == pytest.approx(value)
        low, high = row["difference"][1:]
        assert low < row["ours"].value - row["theirs"].value < high


def test_less_error_and_more_correlation_are_better():
    for ours, theirs, verdict in ((GOOD, BAD, "better"), (BAD, GOOD, "worse")):
        table = gain_table(compare([ours], [theirs], OF_MOS))
        rows = [line for line in table.splitlines() if line.startswith("| mos/")]
        assert [row.split("|")[-2].strip() for row in rows] == [verdict] * 3
    assert "not decided" in gain_table(compare([GOOD], [GOOD], OF_MOS))


def test_what_the_start_does_not_know_has_no_correlation():
    constant = constant_records([r.utterance for r in GOOD], [r.utterance for r in GOOD])
    table = gain_table(compare([GOOD], [constant], OF_MOS))
    (pcc,) = [line for line in table.splitlines() if line.startswith("| mos/utt/pcc")]
    assert [cell.strip() for cell in pcc.split("|")][2::2] == ["–", "–", ""]
    (error,) = [line for line in table.splitlines() if line.startswith("| mos/rmse")]
    assert "better" in error
