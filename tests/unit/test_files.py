"""Files that appear whole or not at all, and JSON lines."""

import os

import pytest

from speechqa_plugin.files import (
    append_json_line,
    appended_lines,
    numbered_lines,
    write_json_lines,
    write_whole,
)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\udcff")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_lines_are_all_written_or_none(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_json_lines(path, [{"id": "old"}])

    def rows():
        yield {"id": "new"}
        raise ValueError("no second row")

    with pytest.raises(ValueError, match="no second row"):
        write_json_lines(path, rows())
    assert path.read_text() == '{"id": "old"}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_with_undecodable_bytes_is_escaped(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_json_lines(path, [{"path": "b\udcff.wav"}])
    assert path.read_bytes() == b'{"path": "b\\udcff.wav"}\n'


def test_blank_lines_count_and_are_left_out(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\na\r\n \nb")
    assert list(numbered_lines(path)) == [(2, b"a"), (4, b"b")]


def test_an_appended_line_is_there_at_once(tmp_path):
    path = tmp_path / "rows.jsonl"
    with open(path, "a", encoding="ascii") as file:
        append_json_line(file, {"id": 1})
        assert appended_lines(path) == ([b'{"id": 1}'], b"")
        file.write('{"id')
    assert appended_lines(path) == ([b'{"id": 1}'], b'{"id')


@pytest.mark.parametrize("text, rest", [(b"", b""), (b"{", b"{")])
def test_a_file_without_a_finished_line(tmp_path, text, rest):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(text)
    assert appended_lines(path) == ([], rest)
