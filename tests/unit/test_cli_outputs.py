"""What the pages and figures of ``report`` and ``compare`` may not be written to or over."""

import os
from pathlib import Path

import pytest
import soundfile
from matplotlib.figure import Figure
from report_cases import RATE_HZ, tone, write_results
from typer.testing import CliRunner

from speechqa_plugin.cli import app
from speechqa_plugin.cli.outputs import write_output


@pytest.fixture
def there(tmp_path, monkeypatch):
    """The current folder: a recording, results of it, and files of someone's."""
    results = write_results(tmp_path)
    results.write_text(results.read_text().splitlines()[0] + "\n")  # the one that was heard
    soundfile.write(tmp_path / "wide.wav", tone(), RATE_HZ)
    for name in ("notes.txt", "notes.html", "notes.png", "notes.svg", "notes.pdf"):
        (tmp_path / name).write_text("my notes: <!DOCTYPE html>")
    for kind in ("png", "svg", "pdf"):
        Figure().savefig(tmp_path / f"paper.{kind}")
    (tmp_path / "folder.html").mkdir()
    os.mkfifo(tmp_path / "pipe.html")
    (tmp_path / "device.html").symlink_to("/dev/full")
    (tmp_path / "loop.html").symlink_to("loop.html")
    (tmp_path / "sound.html").symlink_to("wide.wav")
    (tmp_path / "linked.html").symlink_to("notes.txt")
    (tmp_path / "lost.html").symlink_to("gone/page.html")
    monkeypatch.chdir(tmp_path)
    # Nothing may be heard before a refusal: it would say that there is no such model.
    monkeypatch.setenv("SPEECHQA_MODEL", "no-model")
    return tmp_path


def speechqa(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def state():
    """Names, links and contents of all that lies in the folder."""
    return {
        p.name: (os.path.islink(p), p.read_bytes() if p.is_file() else "") for p in Path().iterdir()
    }


LONG = "x" * 249 + ".html"  # its temporary name is longer still


@pytest.mark.parametrize("command", [("report",), ("compare", "results.jsonl")])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wide.wav", "is one of the files to read"),
        ("sound.html", "is one of the files to read"),
        ("notes.txt", "need a name that ends in .html, .htm"),
        ("new.txt", "need a name that ends in .html, .htm"),
        ("new", "need a name that ends in .html, .htm"),
        ("notes.html", "is there and was not made by this command; give another name"),
        ("linked.html", "is there and was not made by this command; give another name"),
        ("/dev/full", "is no regular file"),
        ("device.html", "is no regular file"),
        ("pipe.html", "is no regular file"),
        ("loop.html", "is no regular file"),
        ("folder.html", "is a folder; give a file's name, like folder.html/report.html"),
        ("nowhere/deep/r.html", "folder nowhere/deep does not exist"),
        ("-", "standard output is not written to; give a file's name, like report.html"),
        (LONG, "can't be written (File name too long)"),
    ],
)
def test_what_is_not_written_to(there, command, name, message):
    before = state()
    result = speechqa(*command, "wide.wav", "-o", name)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"speechqa: -o {name}: {message}")
    assert state() == before and not Path("/dev/full").is_file()


def test_a_link_to_nowhere(there):
    result = speechqa("report", "wide.wav", "-o", "lost.html")
    assert f"-o lost.html: folder {there.resolve()}/gone does not exist" in result.stderr


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_a_figure_replaces_one_of_ours_only(there, kind):
    before = state()
    for name in (f"notes.{kind}", f"paper.{kind}"):
        result = speechqa("report", "results.jsonl", "--png", name)
        assert result.exit_code == 2 and f"--png {name}: is there and was not" in result.stderr
    assert state() == before
    for _ in range(2):
        result = speechqa("report", "results.jsonl", "--png", f"own.{kind}")
        assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("command", [("report",), ("compare", "results.jsonl")])
def test_a_page_of_ours_is_replaced_also_through_a_link(there, command):
    (there / "empty.html").touch()
    (there / "link.html").symlink_to("empty.html")
    assert speechqa(*command, "results.jsonl", "-o", "link.html").exit_code == 0
    first = (there / "empty.html").read_text("utf-8")
    assert first.startswith("<!DOCTYPE html>")
    (there / "empty.html").write_text(first + "<!-- old -->", "utf-8")
    assert speechqa(*command, "results.jsonl", "-o", "link.html").exit_code == 0
    assert (there / "empty.html").read_text("utf-8") == first
    assert (there / "link.html").is_symlink()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(there):
    there.chmod(0o500)
    result = speechqa("report", "wide.wav", "-o", "r.html")
    there.chmod(0o700)
    assert result.stderr == "speechqa: -o r.html: can't be written (Permission denied)\n"


def test_what_fails_later_names_the_users_file(there, capsys):
    def write(path):
        raise PermissionError(13, "Permission denied", str(path))

    with pytest.raises(SystemExit):
        write_output("-o", Path("r.html"), write)
    assert capsys.readouterr().err == "speechqa: -o r.html: can't be written (Permission denied)\n"
