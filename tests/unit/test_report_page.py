"""What stands on the page, and that nothing that was written elsewhere can act on it."""

import base64
import hashlib
import html
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from report_cases import (
    EVIL,
    RATE_HZ,
    TAXONOMY,
    assessed,
    clip,
    many,
    row_names,
    silent,
    text_of,
    tone,
)

from speechqa_plugin.report import page
from speechqa_plugin.report.clips import Clip
from speechqa_plugin.report.page import render_page
from speechqa_plugin.schema import Artifact, Assessment, load_taxonomy

# --- one clip


def test_one_clip_says_all_that_is_known():
    shown = render_page([clip(warnings=("no speech found",), failure="no_scores")], TAXONOMY)
    text = text_of(shown)
    for words in (
        "call.wav 2.0 of 5, overall quality: poor",
        "overall quality: poor 2.0 s",
        "It hums.",
        "noise: mains hum ▶ 0.5–1.2 s",
        "pause: cut-out ▶ 1.5–1.7 s",
        "overall quality poor 2.0 50 %",
        "speaking speed moderate 3.0 50 %",
        "no speech found",
        "could not be read (no_scores)",
    ):
        assert words in text, words
    assert 'data-play="0.500"' in shown
    assert 'left:25.000%;width:37.500%"' in shown  # 0.5 to 1.25 of 2 s
    assert '<table class="sortable"' not in shown


def test_without_confidence_there_is_no_column_for_it():
    shown = render_page([clip(assessment=assessed(sure=None))], TAXONOMY)
    assert "confidence" not in text_of(shown)
    assert "No artifacts listed." in text_of(shown)


def test_each_stretch_of_a_long_recording_has_a_line_of_its_own():
    parts = ["The worst 2 of 3 stretches:", "[0.0-10.0 s] It hums.", "[7.1-16.1 s] It is [1] fair."]
    shown = render_page([clip(assessment=assessed(description=" ".join(parts)))], TAXONOMY)
    assert re.findall(r'<p class="description">(.*?)</p>', shown) == parts
    assert 'class="description"' not in render_page(
        [clip(assessment=assessed(description=""))], TAXONOMY
    )


def test_the_sound_in_the_page_is_the_sound():
    shown = render_page([clip()], TAXONOMY)
    (data,) = re.findall(r'src="data:audio/wav;base64,([^"]+)"', shown)
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(samples, tone(), atol=1 / 2**15)


def test_artifacts_that_cannot_be_drawn_are_listed():
    late, anywhere = Artifact("noise", "babble", 7.0, 9.0), Artifact("noise", "music")
    long_one = Artifact("noise", "ambience", 1.0, 9.0)  # ends with the clip
    shown = render_page([clip(assessment=assessed(2, [late, anywhere, long_one]))], TAXONOMY)
    text = text_of(shown)
    assert "Without a time in the clip: noise: babble, 7.0–9.0 s noise: music" in text
    assert "noise: ambience ▶ 1.0–2.0 s" in text
    assert shown.count('class="lane ') == 1


def test_many_times_of_one_artifact_share_a_lane():
    clicks = [Artifact("noise", "clicks", 0.1 * i, 0.1 * i + 0.05) for i in range(15)]
    shown = render_page([clip(assessment=assessed(2, clicks))], TAXONOMY)
    assert shown.count('class="lane ') == 1
    assert shown.count('<button type="button" data-play') == 12
    assert "and 3 more" in text_of(shown)


def test_without_sound_the_times_stand_but_nothing_plays():
    shown = render_page([clip(sound=False, duration_s=2.0, no_sound="it is gone")], TAXONOMY)
    assert "<audio" not in shown and 'data-play="' not in shown
    assert "noise: mains hum 0.5–1.2 s" in text_of(shown)
    assert "No sound to show: it is gone" in text_of(shown)


def test_without_a_length_the_times_are_listed():
    text = text_of(render_page([clip(sound=False)], TAXONOMY))
    assert "Artifacts: noise: mains hum, 0.5–1.2 s pause: cut-out, 1.5–1.7 s" in text


def test_a_clip_that_was_not_heard():
    shown = render_page([Clip("a.wav", None, error="a.wav: is empty (0 bytes)")], TAXONOMY)
    assert "Not heard: a.wav: is empty (0 bytes)" in text_of(shown)


def test_silence_can_be_drawn():
    still = Clip("a.wav", assessed(), samples=np.zeros(8000, np.float32))
    assert "peak −∞ dB" in render_page([still], TAXONOMY)


# --- many clips


def test_the_worst_stands_first():
    clips = [clip(f"{m}.wav", False, assessment=assessed(m)) for m in (3.5, 1.2, 4.8, 2.0)]
    shown = render_page(clips, TAXONOMY)
    assert row_names(shown) == ["1.2.wav", "2.0.wav", "3.5.wav", "4.8.wav"]
    assert shown.count("<template ") == 4
    assert 'aria-sort="ascending"><button type="button">overall quality' in shown


def test_numbers_over_all():
    clips = [clip("a.wav", False), clip("b.wav", False), clip("c.wav", False)]
    clips[2] = clip("c.wav", False, assessment=assessed(5.0))
    clips.append(Clip("d.wav", None, error="d.wav: no such file"))
    shown = render_page(clips, TAXONOMY)
    text = text_of(shown)
    assert "4 clips 3.00 mean overall quality 95 % interval 2.00 to" in text
    assert "no artifacts listed in 1 of 3; 1 not heard" in text
    assert "noise: mains hum 2" in text and "pause: cut-out 2" in text
    assert "Not heard d.wav: no such file" in text
    label = "Histogram of overall quality: 0 from 1 to 2, 2 from 2 to 3, 0 from 3 to 4, 1 from 4 to"
    assert label in shown


def test_systems_are_compared_with_intervals():
    clips = [clip(f"{i}.wav", False, system="ab"[i % 2]) for i in range(6)]
    clips[0] = clip("0.wav", False, system="a", assessment=assessed(5.0))
    text = text_of(render_page(clips, TAXONOMY))
    assert re.search(r"b 3 2\.00 2\.00–2\.00 .*a 3 3\.00 2\.00–5\.00", text)
    assert "noise: mains hum (3)" in text


def test_folders_stand_in_for_systems_that_nobody_named():
    shown = render_page([clip("x/one/a.wav", False), clip("x/two/a.wav", False)], TAXONOMY)
    assert '<th scope="row">one</th>' in shown and '<th scope="row">two</th>' in shown
    assert row_names(shown) == ["one/a.wav", "two/a.wav"]
    shown = render_page([clip("x/a.wav", False), clip("x/b.wav", False)], TAXONOMY)
    assert 'id="systems"' not in shown


def test_unread_text_is_not_called_free_of_artifacts():
    bad = clip("a.wav", False, assessment=assessed(), failure="no_scores", warnings=("loud",))
    text = text_of(render_page([bad, clip("b.wav", False)], TAXONOMY))
    assert "no artifacts listed in 0 of 2" in text
    assert "unknown 1 warning" in text


def test_scores_alone_are_not_called_free_of_artifacts():
    scored = clip("a.wav", False, assessment=assessed(), scores_only=True, warnings=("loud",))
    other = clip("b.wav", False, assessment=assessed(), scores_only=True)
    text = text_of(render_page([scored, other], TAXONOMY))
    assert "artifacts listed" not in text and "2 judged" in text
    assert "warnings a.wav" in text and "1 warning" in text
    text = text_of(render_page([scored], TAXONOMY))
    assert "Only scores were asked for: artifacts are unknown." in text
    text = text_of(render_page([scored, clip("c.wav", False, assessment=assessed())], TAXONOMY))
    assert "no artifacts listed in 1 of 1 asked for them; 2 judged" in text


def test_what_was_not_judged_counts_nowhere():
    """3.0 with confidence 0 is no score: no mean, no bar of a histogram, no place in the order."""
    heard = [clip(f"set/{m}.wav", False, assessment=assessed(m), system="s") for m in (1.5, 4.5)]
    before = render_page(heard, TAXONOMY)
    shown = render_page([silent(system="s"), *heard], TAXONOMY)
    text = text_of(shown)
    assert row_names(shown) == ["1.5.wav", "4.5.wav", "silent.wav"]
    assert "no artifacts listed in 2 of 2; not judged (no speech, or too short): 1" in text
    pictures = re.compile(r'<section aria-label="Over all clips".*?</section>', re.DOTALL)
    assert pictures.findall(shown) == pictures.findall(before)
    assert re.search(r"silent\.wav (– ){7}1 warning", text)
    one = text_of(render_page([silent()], TAXONOMY))
    assert "silent.wav – overall quality: not judged" in one and "Nothing was judged." in one
    assert "no speech found" in one and "3.0" not in one
    assert "No clip was judged; not judged" in text_of(render_page([silent()] * 2, TAXONOMY))


def test_a_taxonomy_without_artifacts():
    nisqa = load_taxonomy("nisqa")
    clips = [Clip(f"{i}.wav", Assessment(nisqa, dict.fromkeys(nisqa.names, 2))) for i in range(2)]
    text = text_of(render_page(clips, nisqa))
    assert "coloration" in text and "artifacts" not in text


def test_nothing_to_report_on():
    with pytest.raises(ValueError, match="no clips to report on"):
        render_page([], TAXONOMY)


# --- nothing written elsewhere acts


@pytest.mark.parametrize("n", [1, 2])
def test_what_others_wrote_is_text(n):
    evil_type = EVIL.replace("(", "").replace(")", "")
    artifacts = [Artifact("noise", evil_type, 0.5, 1.0), Artifact("noise", evil_type)]
    evil = clip(
        f"in/{EVIL}.wav",
        assessment=assessed(1, artifacts, EVIL),
        warnings=(EVIL,),
        failure=EVIL,
        no_sound=EVIL,
        system=EVIL,
    )
    unheard = Clip(EVIL, None, error=EVIL)
    shown = render_page([evil, clip("in/b.wav"), unheard][: n if n == 1 else 3], TAXONOMY)
    assert shown.count("<script>") == 1 and "<img src=x" not in shown
    assert " onerror=alert(2)>" not in shown  # always with &gt;
    assert "{{ 7 * 7 }}" in shown and "49" not in text_of(shown)
    assert EVIL in text_of(shown)  # and it can be read as it is


def test_only_the_pages_own_script_may_run_and_nothing_is_fetched():
    shown = render_page(many(3), TAXONOMY)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', shown)
    (script,) = re.findall(r"<script>(.*?)</script>", shown, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = html.unescape(policy)
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy
    assert not re.findall(r"https?:|//[a-z]|url\(|@import", re.sub(r"// .*", "", shown))


def test_names_of_undecodable_bytes_can_be_written():
    shown = render_page([clip(os.fsdecode(b"in/\xff.wav"))], TAXONOMY)
    assert r"\udcff.wav" in shown.encode("utf-8").decode("utf-8")


# --- it can be read


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mixed(colour, back, share):
    pairs = [(int(colour[i : i + 2], 16), int(back[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(share * c + (1 - share) * b):02x}" for c, b in pairs)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme):
    css = (Path(page.__file__).with_name("templates") / "page.css").read_text("utf-8")
    blocks = [
        dict(re.findall(r"--([\w-]+): (#\w{6})", b))
        for b in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]
    colours = blocks[0] if scheme == "light" else blocks[0] | blocks[1]
    texts = ["text", "soft", "accent", *(f"k{i}" for i in range(6))]
    for back in ("back", "card"):
        for text in texts:
            assert contrast(colours[text], colours[back]) >= 4.5, (text, back)
    assert contrast(colours["note-text"], colours["note"]) >= 4.5
    worst = mixed(colours["heat"], colours["card"], 0.55)
    assert contrast(colours["text"], worst) >= 4.5
    assert contrast(colours["soft"], mixed(colours["heat"], colours["card"], 0.3)) >= 3


def test_everything_drawn_has_words_for_it():
    shown = render_page([clip()], TAXONOMY) + render_page(many(4), TAXONOMY)
    assert all(" alt=" in image for image in re.findall(r"<img [^>]*>", shown))
    assert all("aria-label=" in svg for svg in re.findall(r"<svg [^>]*>", shown))
    assert "Spectrogram of call.wav, 0 to 8 kHz, with mains hum, cut-out marked" in shown
    assert 'lang="en"' in shown and 'name="viewport"' in shown
