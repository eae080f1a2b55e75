"""YAML files that include others, loaded as a recipe loads them."""

import subprocess
import sys
from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml

from speechqa_plugin.hparams import with_includes


@pytest.fixture
def write(tmp_path):
    def write_file(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_file


def load(path, overrides=None):
    with open(with_includes(path), encoding="utf-8") as file:
        return load_hyperpyyaml(file, overrides)


def test_a_file_that_includes_nothing_is_itself(write):
    path = write("a.yaml", "lr: 1\n")
    assert with_includes(path) == str(path)


def test_later_values_replace_earlier_ones_wherever_they_are_referred_to(write):
    write("a.yaml", "lr: 1\nwarm: 5\nrates: [!ref <lr>, !ref <lr> * 2]\n")
    write("b.yaml", "lr: 2\nwarm: 6\n")
    whole = load(write("c.yaml", "include: [a.yaml, b.yaml]\nlr: 3\nend: !ref <warm>\n"))
    assert whole == {"lr": 3, "warm": 6, "rates": [3, 6], "end": 6}


def test_the_command_line_reaches_what_is_included(write):
    write("a.yaml", "lr: 1\nrate: !ref <lr> * 2\nopt: {a: 1, b: 2}\n")
    path = write("c.yaml", "include: [a.yaml]\nown: 1\n")
    expected = {"lr": 4, "rate": 8, "opt": {"a": 1, "b": 3}, "own": 1}
    assert load(path, "lr: 4\nopt: {b: 3}") == expected
    with pytest.raises(KeyError):
        load(path, "lrr: 4")


def test_includes_of_included_files(write):
    write("a.yaml", "x: 1\ny: 1\nz: 1\n")
    write("b.yaml", "include: [a.yaml]\ny: 2\nz: 2\n")
    write("t.yaml", "z: 3\n")
    whole = load(write("c.yaml", "include: [b.yaml, t.yaml]\n"))
    assert whole == {"x": 1, "y": 2, "z": 3}


def test_a_plain_mapping_is_merged_and_a_tagged_one_replaces(write):
    write(
        "a.yaml",
        "plain: {a: 1, b: 1}\ntagged: !new:collections.Counter {a: 1}\n"
        "changed: !new:collections.Counter {a: 1, b: 1}\nlist: [1, 2]\nnothing: null\n",
    )
    text = (
        "include: [a.yaml]\nplain: {b: 2}\ntagged: !new:collections.OrderedDict {b: 2}\n"
        "changed: {b: 2}\nlist: [3]\nnothing: {a: 1}\n"
    )
    whole = load(write("c.yaml", text))
    assert whole["plain"] == {"a": 1, "b": 2}
    assert type(whole["tagged"]).__name__ == "OrderedDict" and dict(whole["tagged"]) == {"b": 2}
    assert type(whole["changed"]).__name__ == "Counter" and whole["changed"] == {"a": 1, "b": 2}
    assert whole["list"] == [3]
    assert whole["nothing"] == {"a": 1}


def test_comments_anywhere_do_no_harm(write):
    write("a.yaml", "# head\nlist:  # one\n    - !apply:math.hypot [3, 4]\nend: 1  # last\n")
    text = (
        "# head\ninclude: [a.yaml]  # these\n\nlist:    # two\n"
        "    - !new:collections.Counter    # three\n      a: 1  # four\n      # five\n      b: 2\n"
    )
    whole = load(write("c.yaml", text))
    assert whole == {"list": [{"a": 1, "b": 2}], "end": 1}


def test_a_placeholder_is_filled_and_an_unfilled_one_is_named(write):
    write("a.yaml", "data: !PLACEHOLDER\nstage: !PLACEHOLDER\n")
    path = write("c.yaml", "include: [a.yaml]\nstage: one\n")
    assert load(path, "data: here") == {"data": "here", "stage": "one"}
    with pytest.raises(ValueError, match="'data' is a !PLACEHOLDER"):
        load(path)


def test_a_circle_is_refused(write):
    write("a.yaml", "include: [b.yaml]\n")
    path = write("b.yaml", "include: [a.yaml]\n")
    with pytest.raises(ValueError, match="b.yaml includes a.yaml includes b.yaml; take one"):
        with_includes(path)


def test_a_circle_by_another_way_is_refused(write, tmp_path):
    (tmp_path / "sub").mkdir()
    path = write("a.yaml", "include: [sub/../a.yaml]\n")
    with pytest.raises(ValueError, match="a.yaml includes a.yaml"):
        with_includes(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "need keys"), ("- a\n", "need keys"), ("include: b.yaml\n", r"in \[b.yaml\]")],
)
def test_what_is_no_file_of_keys_is_refused(write, text, message):
    with pytest.raises(ValueError, match=rf"a.yaml: .*{message}"):
        with_includes(write("a.yaml", text))


def test_a_missing_file_is_named(write):
    path = write("a.yaml", "include: [nowhere.yaml]\n")
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        with_includes(path)


def test_the_temporary_file_goes_with_the_process(write):
    write("a.yaml", "x: 1\n")
    path = write("c.yaml", "include: [a.yaml]\n")
    code = (
        "import sys; from speechqa_plugin.hparams import with_includes\n"
        "made = with_includes(sys.argv[1]); print(made); print(open(made).read())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert printed[1] == "x: 1"
    assert not Path(printed[0]).exists()
