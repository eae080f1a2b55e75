"""What a command's arguments name."""

import io
import logging
import os
import sys

import numpy as np
import pytest
import soundfile

from speechqa_plugin.sources import AUDIO_SUFFIXES, Source, SourceError, find_sources

FORMATS = {
    ".wav": ("WAV", None),
    ".flac": ("FLAC", None),
    ".mp3": ("MP3", None),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".aiff": ("AIFF", None),
    ".au": ("AU", None),
    ".caf": ("CAF", None),
    ".w64": ("W64", None),
    ".rf64": ("RF64", None),
    ".nist": ("NIST", None),
    ".voc": ("VOC", None),
    ".avr": ("AVR", None),
    ".pvf": ("PVF", None),
    ".paf": ("PAF", "PCM_16"),
    ".sf": ("IRCAM", None),
    ".svx": ("SVX", "PCM_16"),
    ".htk": ("HTK", None),
    ".sds": ("SDS", "PCM_16"),
    ".bwf": ("WAV", None),
    ".gsm": ("RAW", "GSM610"),
    ".vox": ("RAW", "VOX_ADPCM"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three audio files and one that is none, in the current folder."""
    for name in ("b.wav", "a.flac", "sub/c.opus", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths(*arguments):
    return [s.path for s in find_sources([str(a) for a in arguments])]


def refusal(*arguments):
    with pytest.raises(SourceError) as caught:
        find_sources([str(a) for a in arguments])
    return str(caught.value)


def pipe_in(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


# --- files, folders, globs


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_of_libsndfile_is_found_and_can_be_read(tmp_path, suffix):
    format_, subtype = FORMATS[suffix]
    rate_hz = 48000 if subtype == "OPUS" else 8000 if format_ == "RAW" else 16000
    file = tmp_path / f"A{suffix.upper()}"
    soundfile.write(file, np.zeros(4800), rate_hz, format=format_, subtype=subtype)
    assert soundfile.info(file).samplerate == rate_hz
    assert paths(tmp_path) == [str(file)]


def test_suffixes_are_lower_case_and_unique():
    assert len(set(AUDIO_SUFFIXES)) == len(AUDIO_SUFFIXES)
    assert all(s == s.lower() and s.startswith(".") for s in AUDIO_SUFFIXES)
    assert set(FORMATS) <= set(AUDIO_SUFFIXES)


def test_files_folders_and_globs(folder):
    assert paths("b.wav") == ["b.wav"]
    assert paths("b.wav", "a.flac") == ["b.wav", "a.flac"]
    assert paths(folder) == [str(folder / n) for n in ("a.flac", "b.wav", "sub/c.opus")]
    assert paths("*.wav", "**/*.opus") == ["b.wav", "sub/c.opus"]
    assert paths("s*") == ["sub/c.opus"]


def test_a_file_named_by_name_is_taken_whatever_it_is_called(folder):
    assert paths("notes.txt") == ["notes.txt"]


def test_ids_are_paths_below_the_folder_and_unique(folder):
    (folder / "other").mkdir()
    (folder / "other/c.opus").touch()
    sources = find_sources(["sub", "other", "b.wav"])
    assert sources == [
        Source("sub/c.opus", "c.opus"),
        Source("other/c.opus", "other/c.opus"),
        Source("b.wav", "b.wav"),
    ]


def test_what_is_named_twice_is_found_once(folder):
    assert paths("sub/c.opus", "sub", "sub/*", "./sub//c.opus") == ["sub/c.opus"]
    assert paths(".", "b.wav") == ["a.flac", "b.wav", "sub/c.opus"]


def test_a_file_whose_name_looks_like_a_glob(folder):
    (folder / "[1]*.wav").touch()
    assert paths("[1]*.wav") == ["[1]*.wav"]


def test_a_loop_of_links_ends(folder):
    (folder / "sub/up").symlink_to(folder)
    assert paths("sub") == ["sub/c.opus"]


def test_formats_that_cannot_be_read_are_named(folder, caplog):
    for name in ("x.m4a", "y.m4a", "z.WMA"):
        (folder / name).touch()
    with caplog.at_level(logging.WARNING):
        assert len(paths(folder)) == 3
    reason = "left out 2 .m4a, 1 .wma: libsndfile can't read .m4a and .wma; convert to FLAC"
    assert f"{folder}: {reason}" in caplog.text
    for name in ("a.flac", "b.wav", "sub/c.opus"):
        (folder / name).unlink()
    assert refusal(folder) == f"{folder}: no audio file that can be read below it; {reason}"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("nowhere/*.wav", "nowhere/*.wav: no file matches it"),
        ("empty", "empty: no audio file that can be read below it; need WAV, FLAC, "),
        ("a\0b", "no such file or folder"),
    ],
)
def test_what_names_nothing_is_refused(folder, argument, message):
    (folder / "empty").mkdir()
    assert message in refusal("b.wav", argument)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may search every folder")
def test_a_folder_that_may_not_be_searched(folder):
    (folder / "sub").chmod(0)
    try:
        assert "sub: can't be searched (Permission denied)" in refusal(folder)
    finally:
        (folder / "sub").chmod(0o755)


# --- standard input


def test_paths_on_standard_input(monkeypatch):
    pipe_in(monkeypatch, b"a b.wav\r\n\n\xff.wav\nc.flac")
    assert paths("-") == ["a b.wav", os.fsdecode(b"\xff.wav"), "c.flac"]


def test_empty_standard_input(monkeypatch):
    pipe_in(monkeypatch, b"\n")
    assert refusal("-") == ("standard input: is empty; need the path of an audio file on each line")


# --- lists

SPEECHBRAIN_CSV = "ID, duration, wav, wav_format\nu1, 1.5, b.wav, wav\nu2, 2, a.flac, flac\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.jsonl", '{"path": "b.wav", "id": "u1"}\n\n{"path": "a.flac", "id": "u2"}\n'),
        ("l.list", '{"path": "b.wav", "id": "u1"}\n{"path": "a.flac", "id": "u2"}\n'),
        ("l.csv", SPEECHBRAIN_CSV),
        ("l.csv", "\ufeff" + SPEECHBRAIN_CSV.replace(", ", ",").replace("\n", "\r\n")),
        ("l.json", '{"u1": {"wav": "b.wav", "length": 1.5},\n "u2": {"wav": "a.flac"}}'),
        ("wav.scp", "u1 b.wav\nu2  a.flac\n"),
    ],
)
def test_lists_of_every_kind(folder, monkeypatch, name, content):
    (folder / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir("/")
    expected = [Source(str(folder / "b.wav"), "u1"), Source(str(folder / "a.flac"), "u2")]
    assert find_sources([str(folder / name)]) == expected


def test_a_list_without_ids_calls_files_by_their_paths(folder):
    (folder / "l.csv").write_text("filename,mos\nb.wav,3\n")
    assert find_sources(["l.csv"]) == [Source("b.wav", "b.wav")]


def test_a_relative_path_is_also_looked_for_below_the_current_folder(folder):
    (folder / "sub/wav.scp").write_text("u1 b.wav\nu2 c.opus\nu3 gone.wav\n")
    assert paths("sub/wav.scp") == ["b.wav", "sub/c.opus", "sub/gone.wav"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", "ID,wav\nu1,$data_root/b.wav\n"),
        ("l.json", '{"u1": {"wav": "{data_root}/b.wav"}}'),
    ],
)
def test_placeholders_are_environment_variables(folder, monkeypatch, name, content):
    (folder / name).write_text(content)
    assert "set the environment variable data_root to the folder" in refusal(name)
    monkeypatch.setenv("data_root", str(folder))
    assert find_sources([name]) == [Source(str(folder / "b.wav"), "u1")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.jsonl", "", "is empty"),
        ("l.jsonl", "\n\n", "is empty"),
        ("l.jsonl", "a.wav\n", "line 1: not a JSON object with a 'path'; found b'a.wav'"),
        ("l.jsonl", '{"path": "a.wav"}\n{"file": "b.wav"}\n', "line 2: not a JSON object with a"),
        ("l.jsonl", '["a.wav"]\n', "line 1: not a JSON object with a 'path'"),
        ("l.jsonl", '{"path": 7}\n', "line 1: not a JSON object with a 'path'"),
        ("l.json", "{}", "is empty"),
        ("l.json", '{"u1": {"length": 2}}', "id 'u1': names no audio file; need one of path, wav"),
        ("l.json", '{"u1": {"wav": 7}}', "id 'u1': wav is 7; need the path of an audio file"),
        ("l.json", "[1]", "line 1: not a JSON object with a 'path'"),
        ("l.csv", "", "is empty"),
        ("l.csv", "ID,wav\n", "is empty"),
        ("l.csv", "ID,text\nu1,hello\n", "line 2: names no audio file; need one of path, wav"),
        ("l.csv", "ID,wav\nu1,\n", "line 2: wav is ''; need the path of an audio file"),
        ("wav.scp", "u1\n", "line 1: need an id and a file; found 'u1'"),
        ("wav.scp", "u1 sph2pipe a.sph |\n", "line 1: 'sph2pipe a.sph |' is a command or a place"),
        ("wav.scp", "u1 wav.ark:17\n", "line 1: 'wav.ark:17' is a command or a place in an arch"),
    ],
)
def test_lists_that_are_refused(folder, name, content, message):
    (folder / name).write_text(content)
    said = refusal(name)
    assert said.startswith(name) and message in said


def test_a_list_that_is_no_text(folder):
    (folder / "l.json").write_bytes(b"\xff\xfe\x00RIFF")
    assert "l.json, line 1: not a JSON object with a 'path'; found b'\\xff" in refusal("l.json")
