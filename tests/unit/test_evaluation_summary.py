"""The numbers of an evaluation, computed again by hand and by scipy."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import (
    NISQA,
    PAIRS,
    QUALISPEECH,
    TIMELINES,
    assessment,
    hum,
    record,
    scored,
    timed,
)
from scipy import stats
from strategies import assessments

from speechqa_plugin.evaluation.summary import summarise
from speechqa_plugin.metrics import detect, temporal_iou
from speechqa_plugin.rewards import ExpectedScore, ScoreAccuracy
from speechqa_plugin.schema import (
    Artifact,
    Assessment,
)
from speechqa_plugin.text.answers import ParseFailure


def test_scores_of_a_dimension_are_scipys():
    numbers = summarise(scored(PAIRS))["dimensions"]["mos"]
    reference, expected, digits = (np.array(column, float) for column in zip(*PAIRS, strict=True))
    assert numbers["utt/pcc"][0] == pytest.approx(stats.pearsonr(expected, reference).statistic)
    assert numbers["utt/pcc_digit"] == pytest.approx(stats.pearsonr(digits, reference).statistic)
    assert numbers["utt/srcc"] == pytest.approx(stats.spearmanr(expected, reference).statistic)
    assert numbers["utt/ktau"] == pytest.approx(stats.kendalltau(expected, reference).statistic)
    assert numbers["rmse"] == pytest.approx(math.sqrt(np.mean((expected - reference) ** 2)))
    assert numbers["mae"] == pytest.approx(np.mean(abs(expected - reference)))
    assert numbers["digit_histogram"] == [1, 1, 1, 2, 1]
    value, low, high = numbers["utt/pcc"]
    assert -1 <= low < value < high <= 1


def test_the_headline_is_the_mean_over_dimensions():
    rng = np.random.default_rng(0)
    rows = rng.uniform(1, 5, (20, 2, len(NISQA.names)))
    records = [
        record(*(Assessment(NISQA, dict(zip(NISQA.names, r, strict=True))) for r in pair))
        for pair in rows
    ]
    summary = summarise(records)
    reference, said = rows[:, 0].T, rows[:, 1].T
    pccs = [stats.pearsonr(s, r).statistic for s, r in zip(said, reference, strict=True)]
    srccs = [stats.spearmanr(s, r).statistic for s, r in zip(said, reference, strict=True)]
    mean = summary["mean"]
    assert mean["utt/pcc"][0] == pytest.approx(np.mean(pccs))
    assert mean["utt/pcc"][1] < np.mean(pccs) < mean["utt/pcc"][2]
    assert mean["utt/srcc"] == pytest.approx(np.mean(srccs))
    assert mean["rmse"] == pytest.approx(np.mean(np.sqrt(np.mean((said - reference) ** 2, axis=1))))
    assert mean["mae"] == pytest.approx(np.mean(abs(said - reference)))
    assert mean["utt/pcc"][0] == pytest.approx(
        np.mean([d["utt/pcc"][0] for d in summary["dimensions"].values()])
    )


def test_an_unreadable_answer_counts_with_the_middle_of_the_scale():
    pairs = [*PAIRS, (5, None, None)]
    summary = summarise(scored(pairs))
    assert (summary["n"], summary["parse_rate"]) == (7, pytest.approx(6 / 7))
    assert summary["parse_failure/empty"] == pytest.approx(1 / 7)
    as_three = [(r, 3 if e is None else e, 3 if d is None else d) for r, e, d in pairs]
    reference, expected, digits = (np.array(c, float) for c in zip(*as_three, strict=True))
    mos = summary["dimensions"]["mos"]
    assert mos["utt/pcc"][0] == pytest.approx(stats.pearsonr(expected, reference).statistic)
    assert mos["utt/pcc_digit"] == pytest.approx(stats.pearsonr(digits, reference).statistic)
    assert mos["mae"] == pytest.approx(np.mean(abs(expected - reference)))
    assert sum(mos["digit_histogram"]) == 6  # what was written
    # Leaving it out would have looked better: that is what the rule is against.
    assert mos["rmse"] > summarise(scored(PAIRS))["dimensions"]["mos"]["rmse"]


def test_failures_are_counted_by_reason():
    right = assessment()
    reasons = ["empty", "bad_artifact", "empty", "unreadable_audio", ""]
    records = [record(right, None if r else right, failure=r) for r in reasons]
    summary = summarise(records)
    assert {k: v for k, v in summary.items() if k.startswith("parse_failure/")} == {
        "parse_failure/bad_artifact": 0.2,
        "parse_failure/empty": 0.4,
        "parse_failure/unreadable_audio": 0.2,
    }
    assert summary["parse_rate"] == pytest.approx(0.2)


def test_no_answer_at_all_has_no_correlation():
    summary = summarise([record(assessment(s), None, failure="empty") for s in (1, 2, 5)])
    assert summary["parse_rate"] == 0
    assert all(math.isnan(v) for v in summary["mean"]["utt/pcc"])
    assert summary["mean"]["mae"] == pytest.approx((2 + 1 + 2) / 3)


def test_one_dimension_without_correlation_leaves_the_mean_undefined():
    records = scored(PAIRS)
    constant = [
        record(
            r.utterance.reference,
            Assessment(NISQA, {**r.prediction.scores, "dis": 3.0}),
        )
        for r in records
    ]
    summary = summarise(constant)
    assert math.isnan(summary["dimensions"]["dis"]["utt/pcc"][0])
    assert not math.isnan(summary["dimensions"]["mos"]["utt/pcc"][0])
    assert math.isnan(summary["mean"]["utt/pcc"][0])
    assert not math.isnan(summary["mean"]["rmse"])


def test_systems_are_compared_by_their_means():
    values = {"a": [(1, 2.0), (2, 3.0)], "b": [(4, 3.5)], "c": [(5, 4.0), (4, 5.0), (3, 4.5)]}
    records = [
        record(assessment(r), assessment(e), system=system)
        for system, pairs in values.items()
        for r, e in pairs
    ]
    mos = summarise(records)["dimensions"]["mos"]
    assert mos["sys/n"] == 3
    assert mos["sys/pcc"] == pytest.approx(stats.pearsonr([1.5, 4, 4], [2.5, 3.5, 4.5]).statistic)
    assert mos["sys/srcc"] == pytest.approx(stats.spearmanr([1.5, 4, 4], [2.5, 3.5, 4.5]).statistic)
    without = summarise([*records, record(assessment(1), assessment(2))])
    assert "sys/pcc" not in without["dimensions"]["mos"]


def test_times_of_timelines():
    noise = summarise(TIMELINES)["kinds"]["noise"]
    assert (noise["n_reference"], noise["n_predicted"]) == (4, 3)
    assert (noise["precision"], noise["recall"]) == (pytest.approx(2 / 3), 0.5)
    assert noise["f1"][0] == pytest.approx(4 / 7)
    assert noise["temporal_iou_n"] == 5
    assert noise["temporal_iou"][0] == pytest.approx((2 / 6 + 0 + 0 + 0 + 6 / 8) / 5)
    assert noise["temporal_iou_if_found"] == pytest.approx((2 / 6 + 6 / 8) / 2)
    assert noise["temporal_iou_whole_clip"] == pytest.approx((4 / 8 + 0 + 0 + 0 + 8 / 8) / 5)
    # Single intervals: one of four predicted, |.####...| in |########|, reaches half; four exist.
    assert noise["f1@0.5"] == pytest.approx(2 * 1 / (4 + 4))


def test_a_kind_that_nobody_has_or_says_has_no_numbers():
    pause = summarise(TIMELINES)["kinds"]["pause"]
    counts = [pause.pop(key) for key in ("n_reference", "n_predicted", "temporal_iou_n")]
    assert counts == [0, 0, 0]
    assert all(np.isnan(value).all() for value in pause.values())


def test_a_reference_without_its_time_counts_for_presence_alone():
    unknown = timed([hum()], [hum(0, 4)])
    noise = summarise([*TIMELINES, unknown])["kinds"]["noise"]
    known = summarise(TIMELINES)["kinds"]["noise"]
    assert (noise["n_reference"], noise["recall"]) == (5, 0.6)
    for key in known:
        if "@" in key or "iou" in key:
            assert np.ravel(noise[key])[0] == np.ravel(known[key])[0]


def test_a_prediction_without_its_time_has_not_found_the_time():
    noise = summarise([timed([hum(0, 4)], [hum()])])["kinds"]["noise"]
    assert (noise["recall"], noise["temporal_iou"][0], noise["f1@0.5"]) == (1, 0, 0)
    assert math.isnan(noise["temporal_iou_if_found"])
    assert noise["temporal_iou_whole_clip"] == 0.5


def test_a_false_alarm_without_a_time_costs_as_one_with_a_time_does():
    numbers = []
    for alarm in (hum(), hum(1, 2)):
        records = [timed([hum(0, 4)], [hum(0, 4)]), timed([], [alarm])]
        numbers.append(summarise(records)["kinds"]["noise"])
    assert numbers[0] == numbers[1]
    assert (numbers[0]["temporal_iou"][0], numbers[0]["temporal_iou_n"]) == (0.5, 2)
    assert numbers[0]["f1@0.5"] == pytest.approx(2 / 3)


def test_a_reward_judges_what_was_written(monkeypatch):
    """In parts, since each call of a judge has a deadline of its own."""
    monkeypatch.setattr("speechqa_plugin.evaluation.summary.JUDGED_AT_ONCE", 2)
    sizes = []

    class Counted(ScoreAccuracy):
        def __call__(self, predictions, references):
            sizes.append(len(predictions))
            return super().__call__(predictions, references)

    records = scored([(4, 3.4, 4), (4, 4.4, 5), (2, None, None)])
    found = summarise(records, rewards=[Counted("mos"), ExpectedScore("mos")])["rewards"]
    assert found["accuracy/mos"]["mean"][0] == pytest.approx(1 / 3)
    assert (found["accuracy/mos"]["n"], sizes) == (3, [2, 1])
    wanted = [1 - (0.6 / 4) ** 2, 1 - (0.4 / 4) ** 2, 0]
    assert found["expected_score/mos"]["mean"][0] == pytest.approx(np.mean(wanted))


def test_types_count_where_the_kind_was_found():
    records = [
        timed([hum(0, 1)], [hum(0, 1)]),
        timed([hum(0, 1)], [hum(0, 1, "babble")]),
        timed([hum(0, 1)], []),
    ]
    assert summarise(records)["kinds"]["noise"]["type_accuracy"] == 0.5


def drop(start_s=None, end_s=None):
    return Artifact("distortion", "clipping", start_s, end_s)


# Two kinds that occur, one that is only said (pause) and one that nobody says (speed).
MIXED = [
    timed([hum(2, 6), drop(0, 8)], [hum(0, 4), drop(0, 4)]),
    timed([hum(0, 4)], [drop(1, 2), Artifact("pause", "cut-out", 0, 1)]),
    timed([drop(1, 2)], None),
    timed([], []),
    timed([hum(0, 8)], [hum(0, 8)]),
    timed([hum()], [hum(0, 1)]),
]


def test_the_artifact_means_are_over_the_kinds_that_occur():
    summary = summarise(MIXED)
    kinds, artifacts = summary["kinds"], summary["artifacts"]
    assert kinds["pause"]["n_predicted"] == 1  # a false alarm, and yet not in the means
    for key in ("f1", "temporal_iou"):
        expected = (kinds["noise"][key][0] + kinds["distortion"][key][0]) / 2
        assert artifacts[key][0] == pytest.approx(expected)
    assert artifacts["f1"][0] == pytest.approx((2 * 3 / (3 + 4) + 2 * 1 / (2 + 2)) / 2)
    assert artifacts["temporal_iou"][0] == pytest.approx(
        ((2 / 6 + 0 + 1) / 3 + (4 / 8 + 0 + 0) / 3) / 2
    )
    assert artifacts["temporal_iou_whole_clip"] == pytest.approx(
        ((4 / 8 + 0 + 1) / 3 + (1 + 0 + 0) / 3) / 2
    )


def test_intervals_of_the_artifact_numbers_are_those_of_recounted_clips():
    """Each resample's clips counted anew, one by one."""
    records = MIXED * 3
    summary = summarise(records)
    rng = np.random.default_rng(0)
    recounted = []
    for _ in range(1000):
        drawn = [records[i] for i in rng.integers(len(records), size=len(records))]
        f1s, ious = [], []
        for kind in ("noise", "distortion"):
            pairs = [(r.utterance.reference, r.prediction) for r in drawn]
            f1s.append(detect([p for _, p in pairs], [r for r, _ in pairs], kind).presence.f1)
            timed_pairs = [
                (r.intervals(kind), p.intervals(kind) if p else [])
                for r, p in pairs
                if hum() not in r.artifacts or kind != "noise"
            ]
            values = [temporal_iou(p, r) for r, p in timed_pairs if p or r]
            ious.append(np.mean(values) if values else math.nan)
        recounted.append([f1s[0], ious[0], np.mean(f1s), np.mean(ious)])
    noise, artifacts = summary["kinds"]["noise"], summary["artifacts"]
    found = [s[k] for s in (noise, artifacts) for k in ("f1", "temporal_iou")]
    for (value, *ends), column in zip(found, np.array(recounted).T, strict=True):
        assert ends[0] < value < ends[1]
        assert ends == pytest.approx(list(np.nanquantile(column, [0.025, 0.975])))


def test_a_kind_without_known_times_is_left_out_of_the_mean_of_the_times():
    records = [timed([hum(), drop(0, 4)], [drop(0, 2), hum(0, 1)]), timed([], [hum(0, 1)])]
    summary = summarise(records)
    assert summary["kinds"]["noise"]["temporal_iou"][0] == 0  # the false alarm
    assert summary["artifacts"]["temporal_iou"][0] == 0.5
    assert summary["artifacts"]["f1"][0] == pytest.approx((2 / 3 + 1) / 2)


def test_no_artifacts_in_the_references_have_no_means():
    artifacts = summarise([timed([], [hum(0, 1)])])["artifacts"]
    assert all(np.isnan(value).all() for value in artifacts.values())


def test_the_mean_without_magnitudes_leaves_speed_out():
    rng = np.random.default_rng(1)
    rows = rng.uniform(1, 5, (12, 2, len(QUALISPEECH.names)))
    records = [
        record(*(Assessment(QUALISPEECH, dict(zip(QUALISPEECH.names, r, strict=True))) for r in p))
        for p in rows
    ]
    summary = summarise(records)
    pccs = {n: d["utt/pcc"][0] for n, d in summary["dimensions"].items()}
    assert pccs.pop("speed")
    value, low, high = summary["mean"]["utt/pcc_without_magnitude"]
    assert value == pytest.approx(np.mean(list(pccs.values())))
    assert low < value < high
    assert value != pytest.approx(summary["mean"]["utt/pcc"][0])


def test_words_are_compared_where_the_reference_has_some():
    records = [
        record(assessment(text="A loud hum."), assessment(text="a hum")),
        record(assessment(text="A loud hum."), None, failure="empty"),
        record(assessment(), assessment(text="anything")),
    ]
    assert summarise(records)["text"]["rouge_l"] == pytest.approx((0.8 + 0) / 2)
    assert math.isnan(summarise(records[2:])["text"]["rouge_l"])


@settings(max_examples=25)  # some draw 14,000 resamples
@given(data=st.data())
def test_a_perfect_model_has_perfect_numbers(data):
    references = data.draw(st.lists(assessments(QUALISPEECH, 8.0), min_size=1, max_size=2))
    summary = summarise([record(r, r) for r in references])
    assert summary["parse_rate"] == 1
    assert (summary["mean"]["rmse"], summary["mean"]["mae"]) == (0, 0)
    for kind in summary["kinds"].values():
        for key in ("precision", "recall", "f1", "type_accuracy", "temporal_iou", "f1@0.5"):
            assert np.isnan(kind[key]).all() or kind[key] == pytest.approx(np.ones_like(kind[key]))
    for value, *_ in (summary["artifacts"]["f1"], summary["artifacts"]["temporal_iou"]):
        assert math.isnan(value) or value == pytest.approx(1)


def test_nothing_cannot_be_summarised():
    with pytest.raises(ValueError, match="no records"):
        summarise([])


def test_scores_alone_have_no_numbers_on_artifacts_and_text():
    assert not {"kinds", "text"} & summarise(scored(PAIRS), "scores").keys()
    assert {"kinds", "text"} <= summarise(scored(PAIRS)).keys()


# --- rewards and encoders that are handed in


class Judge:
    """Knows the words of a description; fails on a long one."""

    name = "judge"

    def __call__(self, predictions, references):
        self.seen = predictions
        said = [p.assessment.description if p.assessment else "" for p in predictions]
        return [
            None if not r.description or len(s) > 9 else float(s == r.description)
            for s, r in zip(said, references, strict=True)
        ]


def test_rewards_are_averaged_with_their_n_and_failures():
    right = assessment(text="A hum.")
    records = [
        record(right, assessment(text="A hum.")),
        record(right, assessment(text="A hiss.")),
        record(right, assessment(text="A very long text.")),
        record(assessment(), assessment(text="A hum.")),
        record(right, None, failure="empty"),
        record(right, None, failure="unreadable_audio"),
    ]
    judge = Judge()
    numbers = summarise(records, rewards=[judge])["rewards"]["judge"]
    assert numbers["mean"][0] == 0.25
    assert (numbers["n"], numbers["none"]) == (4, 2)
    assert 0 == numbers["mean"][1] < numbers["mean"][2] <= 1
    assert [p.failure for p in judge.seen[3:]] == [None, ParseFailure.EMPTY, ParseFailure.EMPTY]
    assert judge.seen[5].text == ""  # not the message of the error
    assert summarise(records)["rewards"] == {}
    assert "rewards" not in summarise(records, "scores", rewards=[judge])


def test_a_rescued_answer_counts_with_its_scores_and_as_one_that_failed():
    read = [record(assessment(v), assessment(v, text="Hm."), id=str(v)) for v in (1, 2, 4, 5)]
    rescued = [replace(r, failure="unknown_line") for r in read]
    judge = Judge()
    ours, theirs = summarise(rescued, rewards=[judge]), summarise(read, rewards=[Judge()])
    assert (ours.pop("parse_rate"), ours.pop("parse_failure/unknown_line")) == (0, 1)
    assert [p.failure for p in judge.seen] == [ParseFailure.UNKNOWN_LINE] * 4
    del ours["rewards"], theirs["rewards"], theirs["parse_rate"]
    # What could not be read cannot contradict itself.
    assert math.isnan(ours["text"].pop("contradictions").value)
    assert theirs["text"].pop("contradictions").value == 0
    assert str(ours) == str(theirs)


def test_a_judge_that_always_fails_has_no_mean():
    numbers = summarise([record(assessment(), assessment())], rewards=[Judge()])["rewards"]["judge"]
    assert (numbers["n"], numbers["none"]) == (0, 1)
    assert np.isnan(numbers["mean"]).all()


def test_types_are_compared_leniently_with_an_encoder():
    records = [
        timed([hum(0, 1)], [hum(0, 1)]),
        timed([hum(0, 1)], [hum(0, 1, "babble")]),
        timed([hum(0, 1)], None),
        timed([], [hum(0, 1)]),
    ]

    def encode(texts):
        return np.array([[1, 0] if t == "mains hum" else [0.6, 0.8] for t in texts])

    kinds = summarise(records, encode=encode)["kinds"]
    assert kinds["noise"]["type_similarity"] == pytest.approx((1 + 0.8) / 2)
    assert math.isnan(kinds["pause"]["type_similarity"])
    assert "type_similarity" not in summarise(records)["kinds"]["noise"]


def test_system_level_means_are_over_the_dimensions():
    rng = np.random.default_rng(2)
    names = QUALISPEECH.names
    records = [
        record(
            *(
                Assessment(QUALISPEECH, dict(zip(names, map(float, r), strict=True)))
                for r in rng.uniform(1, 5, (2, len(names)))
            ),
            system=f"system-{i % 4}",
        )
        for i in range(12)
    ]
    summary = summarise(records)
    for key in ("sys/pcc", "sys/srcc"):
        values = [d[key] for d in summary["dimensions"].values()]
        assert summary["mean"][key] == pytest.approx(np.mean(values))
    assert "sys/pcc" not in summarise([*records, record(assessment(1), assessment(2))])["mean"]


def test_histograms_of_what_is_written_and_what_is_right():
    mos = summarise(scored([(1, 2, 2), (2.5, 2, 2), (4.4, 5, 5), (5, None, None)]))["dimensions"][
        "mos"
    ]
    assert mos["digit_histogram"] == [0, 2, 0, 0, 1]
    assert mos["reference_histogram"] == [1, 0, 1, 1, 1]
