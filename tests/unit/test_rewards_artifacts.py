"""What can be won and lost by naming artifacts and their times."""

import itertools

import pytest

from speechqa_plugin.metrics import detect
from speechqa_plugin.rewards import IntervalF1, KindF1, TemporalIoU, TypeF1
from speechqa_plugin.schema import Artifact, Assessment, load_taxonomy
from speechqa_plugin.text.answers import ParsedAnswer

TAXONOMY = load_taxonomy("qualispeech")


def clip(*artifacts):
    return Assessment(TAXONOMY, dict.fromkeys(TAXONOMY.names, 3), artifacts)


def value(reward, said, there):
    return reward([ParsedAnswer("", said)], [there])[0]


HUM, BABBLE, CLICKS = (Artifact("noise", t, 0.0, 2.0) for t in ("mains hum", "babble", "clicks"))
CODEC, CUT = Artifact("distortion", "codec", 0.0, 4.0), Artifact("pause", "cut-out", 1.0, 1.5)
EVERYTHING = clip(
    *(Artifact(kind.name, type_, 0.0, 4.0) for kind in TAXONOMY.kinds for type_ in kind.types)
)


@pytest.mark.parametrize(
    ("said", "there", "kind_f1", "type_f1"),
    [
        (clip(), clip(), 1, 1),
        (clip(HUM), clip(), 0, 0),
        (clip(), clip(HUM), 0, 0),
        (clip(HUM, HUM), clip(HUM), 1, 1),
        (clip(BABBLE), clip(HUM), 1, 0),
        (clip(Artifact("noise", "MAINS HUM")), clip(HUM), 1, 1),
        (clip(HUM, BABBLE), clip(HUM), 1, 2 / 3),
        (clip(HUM, CODEC), clip(HUM, CUT), 1 / 2, 1 / 2),
        (clip(HUM, BABBLE), clip(HUM, CLICKS, CUT), 2 / 3, 2 / 5),
        (clip(Artifact("distortion", "mains hum")), clip(HUM), 0, 0),
    ],
)
def test_f1_of_kinds_and_types(said, there, kind_f1, type_f1):
    assert value(KindF1(), said, there) == pytest.approx(kind_f1)
    assert value(TypeF1(), said, there) == pytest.approx(type_f1)


def test_kind_f1_is_the_presence_that_an_evaluation_counts():
    sides = [clip(*some) for n in range(4) for some in itertools.combinations((HUM, CODEC, CUT), n)]
    for said, there in itertools.product(sides, sides):
        if said.artifacts or there.artifacts:
            counts = [detect([said], [there], kind).presence for kind in TAXONOMY.kind_names]
            total = sum(counts[1:], counts[0])
            assert value(KindF1(), said, there) == total.f1


@pytest.mark.parametrize("there", [clip(HUM), clip(CODEC, CUT), clip()])
def test_naming_everything_pays_less_than_the_truth(there):
    assert value(KindF1(), EVERYTHING, there) <= 2 / 3
    assert value(TypeF1(), EVERYTHING, there) < 0.2


# The timeline of the reference and of what is said of it, in seconds:
#
#              0    1    2    3    4
#   there           [----]         .
#   whole      [-------------------]
#   late                 [----]
#   half            [--]
#   pieces          [--][-]
#   twice           [----]  and again
THERE = clip(Artifact("noise", "babble", 1.0, 2.0))


@pytest.mark.parametrize(
    ("spans", "iou", "f1"),
    [
        ([(1.0, 2.0)], 1, 1),
        ([(0.0, 4.0)], 1 / 4, 0),
        ([(2.0, 3.0)], 0, 0),
        ([(1.0, 1.5)], 1 / 2, 1),
        ([(1.0, 1.6), (1.6, 2.0)], 1, 2 / 3),
        ([(1.0, 2.0), (1.0, 2.0)], 1, 2 / 3),
        ([], 0, 0),
    ],
    ids=["right", "whole", "late", "half", "pieces", "twice", "none"],
)
def test_times(spans, iou, f1):
    said = clip(*(Artifact("noise", "mains hum", *span) for span in spans))
    assert value(TemporalIoU("noise"), said, THERE) == pytest.approx(iou)
    assert value(IntervalF1("noise"), said, THERE) == pytest.approx(f1)


@pytest.mark.parametrize("reward", [TemporalIoU("noise"), IntervalF1("noise")])
class TestWhereThereIsNothing:
    def test_silence_wins_over_a_false_alarm(self, reward):
        assert value(reward, clip(CUT), clip(CUT)) == 1
        assert value(reward, clip(CUT, HUM), clip(CUT)) == 0

    def test_a_false_alarm_without_a_time_is_one_too(self, reward):
        assert value(reward, clip(Artifact("noise", "babble")), clip()) == 0

    def test_a_find_without_a_time_earns_nothing(self, reward):
        assert value(reward, clip(Artifact("noise", "babble")), clip(HUM)) == 0

    def test_a_short_click_can_be_told_exactly(self, reward):
        """An answer writes tenths of a second, so 5 ms are told as a tenth."""
        click = clip(Artifact("noise", "clicks", 1.023, 1.028))
        assert value(reward, clip(Artifact("noise", "clicks", 1.0, 1.1)), click) == 1
