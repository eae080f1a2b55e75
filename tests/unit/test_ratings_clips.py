"""A listening test's recordings: which can be heard, and why others cannot."""

import pytest
from tiny import write_bad_files, write_clip

from speechqa_plugin.ratings.clips import find_clips
from speechqa_plugin.ratings.dimensions import make_test_taxonomy
from speechqa_plugin.ratings.table import Rated, RatingsError

MOS = make_test_taxonomy(["mos"])


def rated(*names):
    return [Rated(n, f"line {i}", {"mos": 3.0}, 1, system="s") for i, n in enumerate(names, 2)]


def test_files_that_can_be_heard_and_why_others_cannot(tmp_path):
    bad = write_bad_files(tmp_path / "bad")
    write_clip(tmp_path / "wav/a.wav", 1.25)
    write_clip(tmp_path / "other/b.wav", 1.0)
    names = ["wav/a.wav", "b.wav", *(str(path) for path in bad.values())]
    kept, left_out = find_clips(rated(*names), MOS, [tmp_path, tmp_path / "other"])
    assert [(row.file, u.id, u.duration_s, u.system) for row, u in kept] == [
        ("wav/a.wav", "wav/a.wav", 1.25, "s"),
        ("b.wav", "b.wav", 1.0, "s"),
    ]
    assert kept[0][1].path == str(tmp_path / "wav/a.wav") and kept[0][1].reference.mos == 3
    assert list(left_out) == names[2:]
    for text, why in zip(bad, left_out.values(), strict=True):
        assert text.partition(";")[0] in why and str(tmp_path) not in why


def test_none_can_be_heard(tmp_path):
    with pytest.raises(RatingsError) as caught:
        find_clips(rated("a.wav", "b.wav"), MOS, [tmp_path])
    assert "none of 2 audio files" in str(caught.value) and "Windows" not in str(caught.value)
    assert f"'a.wav': no such file); looked in {tmp_path}: name the folder" in str(caught.value)
    with pytest.raises(RatingsError, match="these are paths of Windows: write them relative"):
        find_clips(rated("C:/data/a.wav"), MOS, [tmp_path])


def test_two_names_of_one_file(tmp_path):
    path = write_clip(tmp_path / "a.wav")
    with pytest.raises(RatingsError, match="line 3: .*is the file that line 2 calls 'a.wav'"):
        find_clips(rated("a.wav", str(path)), MOS, [tmp_path])
