"""What `speechqa assess` prints of an assessment."""

from speechqa_plugin.activity import NO_SPEECH
from speechqa_plugin.cli.readable import format_assessment
from speechqa_plugin.schema import Artifact, Assessment, Stretch, load_taxonomy

TAXONOMY = load_taxonomy("qualispeech")
MIDDLE = dict.fromkeys(TAXONOMY.names, 3)


def shown(*artifacts, **fields):
    """Lines of what is printed."""
    return format_assessment("a", Assessment(TAXONOMY, MIDDLE, artifacts, **fields)).splitlines()


def test_format_without_artifacts_description_and_confidence():
    text = format_assessment("a.wav", Assessment(TAXONOMY, dict.fromkeys(TAXONOMY.names, 3)))
    assert "(no description)" in text and text.endswith("  no artifacts found")
    assert "confidence" not in text


def test_format_of_an_artifact_without_times():
    hum = Artifact("noise", "mains hum")
    text = format_assessment("a", Assessment(TAXONOMY, dict.fromkeys(TAXONOMY.names, 3), (hum,)))
    assert text.endswith("\n  noise: mains hum")


def test_format_of_scores_whose_text_cannot_be_read():
    alone = Assessment(TAXONOMY, dict.fromkeys(TAXONOMY.names, 3))
    text = format_assessment("a", alone, "unknown_line")
    assert text.endswith("(the model's text is unreadable: unknown_line; artifacts unknown)")
    assert "no artifacts" not in text


def test_format_of_what_was_not_judged():
    nothing = dict.fromkeys(TAXONOMY.names, 0)
    middle = dict.fromkeys(TAXONOMY.names, 3)
    silent = Assessment(TAXONOMY, middle, confidence=nothing, warnings=(NO_SPEECH, "and quiet"))
    text = format_assessment("a.wav", silent)
    assert f"(no description)\n  warning: {NO_SPEECH}\n  warning: and quiet\n\n" in text
    assert text.endswith("\n  nothing was judged") and "\n  overall quality           –\n" in text
    assert not any(word in text for word in ("3.0", "fair", "·", "confidence 0.00"))


# --- long recordings

SHORT, LONG = (Stretch(0.0, end_s, MIDDLE) for end_s in (60.0, 3725.0))


def test_each_stretch_that_was_described_has_a_line():
    text = "The worst 2 of 9 stretches: [7.1-16.1 s] Hum at 1.5-2.0 s. [3600.0-3609.4 s] Clear."
    assert shown(description=text, timeline=[SHORT])[1:4] == [
        "  The worst 2 of 9 stretches:",
        "  [7.1-16.1 s] Hum at 1.5-2.0 s.",
        "  [3600.0-3609.4 s] Clear.",
    ]
    assert shown(description=text, timeline=[LONG])[2:4] == [
        "  [0:07-0:16] Hum at 1.5-2.0 s.",
        "  [1:00:00-1:00:09] Clear.",
    ]


def test_what_a_model_writes_of_times_stays():
    text = "[0.0-9.0 s] It hums [1.5-2.0 s]. [9.0-18.0 s] Clear."
    for timeline, places in (
        (SHORT, ("0.0-9.0 s", "9.0-18.0 s")),
        (LONG, ("0:00-0:09", "0:09-0:18")),
    ):
        lines = [f"  [{places[0]}] It hums [1.5-2.0 s].", f"  [{places[1]}] Clear."]
        assert shown(description=text, timeline=[timeline])[1:3] == lines


def test_places_of_a_warning_in_a_long_recording():
    warning = "low (at 0.0-10.0, 80.0-90.0 s and 2 more stretches)"
    assert f"  warning: {warning}" in shown(warnings=[warning], timeline=[SHORT])
    places = "  warning: low (at 0:00-0:10, 1:20-1:30 and 2 more stretches)"
    assert places in shown(warnings=[warning], timeline=[LONG])


def test_times_of_artifacts_in_a_long_recording():
    times = (0.0, 9.6), (70.1, 70.4), (3599.6, 3725.0)
    lines = shown(*(Artifact("noise", "hum", *when) for when in times), timeline=[LONG])
    assert lines[-3:] == [
        "  noise: hum  0:00 to 0:10",
        "  noise: hum  1:10 (0.3 s)",
        "  noise: hum  1:00:00 to 1:02:05",
    ]


def test_more_than_ten_artifacts_are_folded_by_kind_and_type():
    hiss = [Artifact("noise", "hiss", 10.0 * i, 10.0 * i + 0.5) for i in range(9)]
    slow = [Artifact("speed", "too slow", 300.0 * i, 300.0 * i + 100 + i) for i in range(1, 12)]
    others = [Artifact("pause", "cut-out", 5.0, 6.0), Artifact("noise", "mains hum")]
    assert len(shown(*hiss)) == len(shown()) + 8
    assert shown(*hiss, *slow, *others)[-5:] == [
        "  speed: too slow  11 stretches, 19 min in all, the longest 55:00 to 56:51",
        "  noise: hiss  9 stretches, 4.5 s in all, the longest 0:00 (0.5 s)",
        "  pause: cut-out  0:05 to 0:06",
        "  noise: mains hum",
        "  (each of them: --json)",
    ]
