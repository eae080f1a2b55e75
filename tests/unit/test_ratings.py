"""Tables of ratings: what is understood, and that all else is said with its place."""

import pytest
from tiny import write_bad_files, write_clip

from speechqa_plugin.ratings.clips import find_clips
from speechqa_plugin.ratings.dimensions import known_dimensions, make_test_taxonomy
from speechqa_plugin.ratings.splits import split_of
from speechqa_plugin.ratings.table import Rated, RatingsError, read_layout, read_ratings
from speechqa_plugin.schema import load_taxonomy

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


# --- its taxonomy


def test_known_dimensions_keep_their_words_and_order():
    ours = load_taxonomy("qualispeech")
    made = make_test_taxonomy(["mos", "warmth", "distortion", "noise"])
    assert made.names == ("noise", "distortion", "warmth", "mos") and not made.kinds
    assert made.dimension("noise") == ours.dimension("noise")
    assert made.dimension("warmth").title == "warmth"
    nisqa = load_taxonomy("nisqa")
    assert make_test_taxonomy(reversed(nisqa.names)).dimensions == nisqa.dimensions


# --- splits


def files(n, groups=None):
    return [
        Rated(f"{i}.wav", f"r.csv, line {i + 2}", {}, 1, group=groups(i) if groups else "")
        for i in range(n)
    ]


def of(splits, name):
    return {file for file, split in splits.items() if split == name}


def test_shares_seed_and_order_of_rows():
    rated = files(100)
    splits = split_of(rated)
    assert [len(of(splits, s)) for s in ("train", "valid", "test")] == [70, 15, 15]
    assert split_of(rated[::-1]) == splits != split_of(rated, seed=5)


@pytest.mark.parametrize("seed", range(8))
def test_no_group_is_in_two_splits(seed):
    sizes = [1, 1, 50]
    rated = files(52, lambda i: f"talker {min(i, 2)}")
    splits = split_of(rated, seed=seed)
    found = [{r.group for r in rated if splits[r.file] == s} for s in ("train", "valid", "test")]
    assert [len(groups) for groups in found] == [1, 1, 1] and len(sizes) == 3
    assert set.union(*found) == {"talker 0", "talker 1", "talker 2"}


def given(*rows):
    return [Rated(f"{i}.wav", f"r.csv, line {i + 2}", {}, 1, s, g) for i, (s, g) in enumerate(rows)]


def test_splits_of_the_table_count():
    splits = split_of(given(("Train", "a"), ("dev", "b"), ("test", "c"), ("train", "a")))
    assert list(splits.values()) == ["train", "valid", "test", "train"]


@pytest.mark.parametrize(
    ("rated", "options", "message"),
    [
        (given(("train", ""), ("eval", "")), {}, "line 3: the split is 'eval'; need one of train"),
        (given(("train", ""), ("test", "")), {}, "no file is in valid; the column for the split"),
        (
            given(("train", "a"), ("test", "a")),
            {},
            "line 3: group 'a' is in test and, in r.csv, line 2, in train",
        ),
        (files(2), {}, "found 2 files; need at least 3"),
        (files(9, lambda i: "t"), {}, "found 1 group; need at least 3"),
        (files(9), {"valid_share": 0}, "valid_share is 0 and test_share 0.15; need each above 0"),
        (files(9), {"test_share": 0.9}, "together below 1"),
    ],
)
def test_splits_that_cannot_be(rated, options, message):
    with pytest.raises(RatingsError, match=message):
        split_of(rated, **options)


# --- audio


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
