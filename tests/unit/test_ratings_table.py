"""Tables of ratings: what is understood, and that all else is said with its place."""

import pytest

from speechqa_plugin.ratings.dimensions import known_dimensions, make_test_taxonomy
from speechqa_plugin.ratings.table import RatingsError, read_layout, read_ratings

MOS = make_test_taxonomy(["mos"])


def write(folder, text, encoding="utf-8"):
    path = folder / "r.csv"
    path.write_bytes(text.encode(encoding))
    return path


def read(folder, text, scale=(1, 5), encoding="utf-8", **options):
    return read_ratings(read_layout(write(folder, text, encoding), **options), scale)


def scores(rated):
    return {r.file: r.scores for r in rated}


def refused(folder, text, *texts, **options):
    """The message, which names the file and holds these texts."""
    with pytest.raises(RatingsError) as caught:
        read(folder, text, **options)
    message = str(caught.value)
    assert "r.csv" in message
    for part in texts:
        assert part in message
    return message


# --- what spreadsheets do


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("file,mos\na.wav,3.5\nwav/b.wav,2\n", "utf-8"),
        ("file,mos\r\na.wav,3.5\r\nwav/b.wav,2\r\n", "utf-8-sig"),
        ("File;MOS\na.wav;3,5\nwav\\b.wav;2\n", "utf-8"),
        ("file\tmos\na.wav\t3.5\nwav/b.wav\t2,0\n", "utf-16"),
        (" file , mos \n\na.wav, 3.5\n,\n./wav//b.wav ,2\n", "utf-8"),
        ('mos|note|path\n3.5|"x|y"|a.wav\n2||wav/b.wav', "utf-8"),
        ("file,mos\na.wav,3.5\nfile,mos\nwav/b.wav,2\n", "utf-8"),  # two files joined
    ],
)
def test_all_of_these_say_the_same(tmp_path, text, encoding):
    rated = read(tmp_path, text, encoding=encoding)
    assert scores(rated) == {"a.wav": {"mos": 3.5}, "wav/b.wav": {"mos": 2.0}}


def test_listeners_are_averaged(tmp_path):
    text = "file,listener,mos,noise,talker,condition\n"
    text += "a.wav,x,1,5,t,c\nb.wav,x,2,2,u,d\na.wav,y,4,4,t,c\n"
    a, b = read(tmp_path, text, known=list(known_dimensions()))
    assert (a.scores, a.n_ratings, a.group, a.system) == ({"noise": 4.5, "mos": 2.5}, 2, "t", "c")
    assert a.where.endswith("r.csv, line 2") and (b.n_ratings, b.group) == (1, "u")


@pytest.mark.parametrize(
    ("scale", "ratings", "expected"),
    [((0, 100), ["0", "50", "100"], [1, 3, 5]), ((1, 7), ["1", "4", "7"], [1, 3, 5])],
)
def test_another_scale_is_mapped_linearly(tmp_path, scale, ratings, expected):
    text = "file,mos\n" + "".join(f"{i}.wav,{r}\n" for i, r in enumerate(ratings))
    found = [r.scores["mos"] for r in read(tmp_path, text, scale)]
    assert found == pytest.approx(expected)


def test_columns_and_dimensions_by_name(tmp_path):
    path = write(tmp_path, "clip,OVRL,Vocal Warmth,noise\na.wav,3,2,1\n")
    layout = read_layout(path, {"file": "Clip", "rating": "ovrl"}, ["vocal warmth"], ["noise"])
    assert list(layout.dimensions) == ["vocal_warmth", "mos"] and layout.unused == ("noise",)
    assert scores(read_ratings(layout)) == {"a.wav": {"vocal_warmth": 2, "mos": 3}}


def test_another_column_of_overall_ratings_is_not_used(tmp_path):
    path = write(tmp_path, "file,OVRL,mos\na.wav,3,2\n")
    layout = read_layout(path, {"rating": "OVRL"}, known=list(known_dimensions()))
    assert layout.unused == ("mos",) and scores(read_ratings(layout)) == {"a.wav": {"mos": 3}}


def test_a_cell_may_go_over_lines(tmp_path):
    text = 'file,mos,note\na.wav,3,"one\ntwo"\nb.wav,4,\u2028\nc.wav,bad,\n'
    refused(tmp_path, text, "line 5, column 'mos': found 'bad'", ": 1 problem")


# --- what is wrong with a table


def test_no_table(tmp_path):
    with pytest.raises(RatingsError, match="nowhere.csv: no such file"):
        read_layout(tmp_path / "nowhere.csv")
    refused(tmp_path, " \n", "is empty; need a line that names the columns")
    refused(tmp_path, "file,mos\n\n", "has a header and no rows")
    (tmp_path / "r.csv").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(RatingsError, match="r.csv: is a workbook or an archive.*export it as CSV"):
        read_layout(tmp_path / "r.csv")
    refused(tmp_path, "file,mos\na.wav,3\nä.wav,2\n", "line 3", "not UTF-8", encoding="latin-1")
    refused(tmp_path, 'file,mos\na.wav,"3\n' + "x" * 200_000, "line ", "is no CSV")


@pytest.mark.parametrize(
    ("header", "options", "texts"),
    [
        ("file,quality", {}, ["line 1: no column for the rating; found 'file', 'quality'",
                              "--columns rating=NAME"]),
        ("a.wav,3", {}, ["no column for the file", "the first line has to name the columns"]),
        ("file mos", {}, ["no column for the file; found 'file mos'", "semicolon"]),
        ("file,mos,rating", {}, ["'mos', 'rating' could each be the rating; choose by --columns"]),
        ("file,mos,mos", {}, ["'mos', 'mos' could each be the rating"]),
        ("file,mos", {"columns": {"group": "room"}}, ["no column 'room'; found 'file', 'mos'"]),
        ("file,mos", {"dimensions": ["warmth"]}, ["no column 'warmth' for a further dimension"]),
        ("file,mos,3D", {"dimensions": ["3D"]}, ["column '3D' can't give its name to a further"]),
        ("file,OVRL,mos", {"columns": {"rating": "OVRL"}, "dimensions": ["mos"]},
         ["column 'mos' can't give its name", "which is the rating's"]),
    ],
)  # fmt: skip
def test_columns_that_are_missing_or_too_many(tmp_path, header, options, texts):
    refused(tmp_path, f"{header}\na.wav,3\n", *texts, **options)


def test_a_role_that_nobody_knows(tmp_path):
    with pytest.raises(RatingsError, match="columns: 'talkers' is none of file, rating"):
        read(tmp_path, "file,mos\na.wav,3\n", columns={"talkers": "t"})


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        ("a.wav,good", ["line 2, column 'mos': found 'good'; need a number from 1 to 5"]),
        ("a.wav,", ["line 2, column 'mos': found ''; need a number"]),
        ("a.wav,nan", ["column 'mos': found 'nan'"]),
        ('a.wav,"3,5"', ["found '3,5'; need a number from 1 to 5, with a point in it"]),
        ("a.wav,87", ["found '87'; need a number from 1 to 5; ", "--scale 0 100"]),
        (",3", ["line 2, column 'file': found ''; need the file"]),
        ("a.wav,3,5", ["line 2: found 3 cells, and the header has 2", "needs quotes"]),
        ("a.wav,3\nb.wav,3\n./a.wav,4", ["line 4, column 'file': found './a.wav'",
                                         "line 2 has it, too", "add a column 'listener'"]),
    ],
)  # fmt: skip
def test_rows_that_are_wrong(tmp_path, rows, texts):
    message = refused(tmp_path, f"file,mos\n{rows}\n", *texts)
    assert ": 1 problem\n" in message


def test_a_listener_who_rates_twice_and_a_file_that_is_two_things(tmp_path):
    text = (
        "file,listener,mos,split\na.wav,x,1,train\na.wav,x,2,train\na.wav,y,2,test\nb.wav,,2,test"
    )
    message = refused(
        tmp_path,
        text,
        "line 3, column 'file': found 'a.wav'; need one rating of a file by listener 'x'",
        "line 4, column 'split': found 'test'; need 'train', as in line 2",
        "line 5, column 'listener': found ''",
    )
    assert ": 3 problems\n" in message


def test_all_problems_at_once_but_not_too_many(tmp_path):
    text = "file,mos\n" + "".join(f"{i}.wav,bad\n" for i in range(25))
    message = refused(tmp_path, text, ": 25 problems", "line 11,", "and 15 more")
    assert "line 12," not in message


def test_a_scale_that_is_none(tmp_path):
    with pytest.raises(RatingsError, match=r"scale is \(5, 1\); need the worst and then the best"):
        read(tmp_path, "file,mos\na.wav,3\n", scale=(5, 1))
