"""Which photos are meant: the same as by a batch on one machine."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from blindsr.batch.plan import plan_batch
from blindsr.cluster.inputs import Inputs
from blindsr.cluster.items import Ended, Item, fault_of_path, read_lines, write_lines
from blindsr.cluster.stores import LocalStore, open_store
from blindsr.errors import InputError

from .conftest import MakeStore

TREE = (
    *("b.JPG", "a/z.tif", "a/deep/y.gif", "c.png", "notes.txt", ".hidden.png", ".thumbnails/t.png"),
    *("a.b.jpg", "a.jpg", "a-1.jpg", "a b.jpg", "d.raw", "ta.txt", "[1].png", "1.png", "é/ü.webp"),
)


def touch(folder: Path, names: Sequence[str] = TREE) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def meant(texts: Sequence[str], out: str, **options: bool) -> list[Item]:
    return [*Inputs(texts, open_store(out), **options).items()]


@pytest.mark.parametrize("recursive", [True, False])
@pytest.mark.parametrize(
    "inputs",
    [
        *(["in"], ["in/a", "in/é"], ["in/*.png"], ["in/**/*.tif"], ["in/*/*.tif"], ["in/a/**"], ["in/[ab]*"]),
        *(["in/*.raw"], ["in/b.JPG", "in/notes.txt"], ["in/[1].png"], ["in/**"], ["in/*"], ["in/**/deep"]),
    ],
)
def test_as_on_one_machine(tmp_path: Path, inputs: list[str], recursive: bool) -> None:
    """Photos and the folders of their results are those of `plan_batch`."""
    touch(tmp_path / "in")
    paths = [str(tmp_path / one) for one in inputs]
    out = tmp_path / "out"
    plan = plan_batch(paths, out, label="x4", recursive=recursive)
    expected = {(task.source, task.target.parent) for task in plan.tasks}
    found = meant(paths, str(out), recursive=recursive)
    assert {(Path(one.place) / one.name, (out / one.name).parent) for one in found} == expected
    assert [one.key for one in found] == sorted(one.key for one in found)
    assert all(one.version and one.size == 0 and not one.fault for one in found)


def test_what_was_left_out_is_counted_as_on_one_machine(tmp_path: Path) -> None:
    touch(tmp_path / "in")
    inputs = Inputs([str(tmp_path / "in")], LocalStore(tmp_path / "out"))
    [*inputs.items()]
    assert inputs.others == plan_batch(tmp_path / "in", tmp_path / "out", label="x4").others


def test_a_bucket_as_a_folder(make_store: MakeStore, tmp_path: Path) -> None:
    touch(tmp_path / "same")
    store = make_store("in")
    for name in TREE:
        store.write(name, b"")
    found = meant([store.place], make_store("out").place)
    assert [one.name for one in found] == [one.name for one in meant([str(tmp_path / "same")], "/out")]
    assert [one.name for one in meant([f"{store.place}/a/**/*.gif"], make_store("out").place)] == [
        "deep/y.gif"
    ]
    (one,) = meant([f"{store.place}/a/z.tif"], make_store("out").place)
    assert (one.name, one.sure) == ("z.tif", True)


def test_a_name_without_a_suffix_may_be_a_photo() -> None:
    store = open_store("memory://suffixless")
    for name in ("scan", "b.txt"):
        store.write(name, b"")
    assert [(one.name, one.sure) for one in meant(["memory://suffixless"], "/out")] == [("scan", False)]


@pytest.mark.parametrize(
    ("inputs", "out", "text"),
    [
        (["in"], "in", "lies in the folder of results, or is that"),
        (["in/a"], "in", "lies in the folder of results"),
        (["in", "in/a"], "out", "lies in .*in; give only one of them"),
        (["in/a/z.tif", "in"], "out", "lies in .*in; give only one of them"),
        (["nowhere"], "out", "no such file or folder"),
        (["in/*.xyz"], "out", "as a pattern it matches no photo"),
        (["empty"], "out", "no photos there"),
        (["in/list.csv", "in"], "out", "a list stands alone"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, inputs: list[str], out: str, text: str) -> None:
    touch(tmp_path / "in", [*TREE, "list.csv"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=text) as caught:
        meant([str(tmp_path / one) for one in inputs], str(tmp_path / out))
    assert "\n" not in str(caught.value)


def test_results_of_an_earlier_run_are_no_photos(tmp_path: Path) -> None:
    touch(tmp_path / "in", ["a.jpg", "out/a_x4.jpg", "out2/b.jpg"])
    found = meant([str(tmp_path / "in")], str(tmp_path / "in" / "out"))
    assert [one.name for one in found] == ["a.jpg", "out2/b.jpg"]


def test_rivals_are_those_that_differ_in_the_suffix_alone(tmp_path: Path) -> None:
    """Whatever lies between them in the order of names; and memory holds no more than a name has signs."""
    names = [
        "a",
        "a b.jpg",
        "a-1.jpg",
        "a.b.jpg",
        "a.b/c.jpg",
        "a.bmp",
        "a.jpg",
        "a.png",
        "ab.jpg",
    ]
    store = open_store("memory://rivals")
    for name in names:
        store.write(name, b"")
    rivals = {one.name: [name for _, name in one.rivals] for one in meant(["memory://rivals"], "/out")}
    assert rivals == {
        **{name: [] for name in names},
        "a.bmp": ["a"],
        "a.jpg": ["a", "a.bmp"],
        "a.png": ["a", "a.bmp", "a.jpg"],
    }


def test_rivals_of_several_inputs() -> None:
    for place, name in (("one", "x/a.jpg"), ("two", "x/a.png"), ("two", "b.jpg")):
        open_store(f"memory://rivals-{place}").write(name, b"")
    found = meant(["memory://rivals-two", "memory://rivals-one"], "/out")
    assert [(one.name, one.rivals) for one in found] == [
        ("b.jpg", ()),
        ("x/a.jpg", ()),
        ("x/a.png", (("memory://rivals-one", "x/a.jpg"),)),
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("../a.jpg", "x/../../a.jpg", "./a.jpg", "a//b.jpg", "/a.jpg", "x/", "a\0.jpg", ".", "", "x/.."),
        *(f"{'é' * 200}.jpg", ".blindsr-cluster/x.jpg", "x/.blindsr-cluster/lease/1.jpg"),
    ],
)
def test_names_that_could_lead_elsewhere(name: str) -> None:
    assert fault_of_path(name)


@pytest.mark.parametrize("name", ["a.jpg", "..a.jpg", "x/a..jpg", "x/...", "a b/ü#%20?.jpg", "\udcff.jpg"])
def test_names_that_could_not(name: str) -> None:
    assert not fault_of_path(name)


def test_a_bucket_may_have_any_names(s3: str) -> None:
    store = open_store(f"{s3}/in")
    for name in ("a.jpg", "b//c.jpg", "../d.jpg", "x/../e.jpg"):
        store._files.call_s3("put_object", Bucket=s3[5:], Key=f"in/{name}", Body=b"")  # type: ignore[attr-defined]
    found = {one.name: bool(one.fault) for one in meant([store.place], f"{s3}/out")}
    assert found == {"a.jpg": False, "b//c.jpg": True}  # those with dots are hidden, or faulty


def write_list(path: Path, rows: list[dict[str, object]]) -> str:
    """A list of the kind that the suffix names."""
    if path.suffix == ".parquet":
        arrow = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        columns = {key: None for row in rows for key in row}
        pyarrow.parquet.write_table(arrow.Table.from_pylist([{**columns, **row} for row in rows]), path)
    elif path.suffix == ".csv":
        keys = [*{key: None for row in rows for key in row}]
        lines = [",".join(str(row.get(key, "")) for key in keys) for row in rows]
        path.write_text("\n".join([",".join(keys), *lines]), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".ndjson", ".parquet"])
def test_a_list(tmp_path: Path, suffix: str) -> None:
    rows: list[dict[str, object]] = [
        {"name": "z.jpg", "scale": 2.5, "format": "JPG"},
        {"name": "sub/a.jpg", "quality": 80, "texture": 0.5},
        {"name": "s3://bucket/deep/b.jpg"},
        {"name": "/mnt/c.jpg", "width": 640},
    ]
    found = meant([write_list(tmp_path / f"list{suffix}", rows)], str(tmp_path / "out"))
    assert [(one.place, one.name) for one in found] == [
        (str(tmp_path), "z.jpg"),
        (str(tmp_path), "sub/a.jpg"),
        ("s3://bucket", "deep/b.jpg"),
        ("/", "mnt/c.jpg"),
    ]
    options = [{"scale": 2.5, "format": "jpeg"}, {"quality": 80, "texture": 0.5}, {}, {"width": 640}]
    assert [one.options for one in found] == options and not any(one.fault for one in found)
    assert [one.key for one in found] == sorted(one.key for one in found)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"name": ""}, "give a text"),
        ({"name": "x" * 9999}, "give a text"),
        ({"name": "../a.jpg"}, "could lead elsewhere"),
        ({"name": "s3://b/../a.jpg"}, "could lead elsewhere"),
        ({"name": "zip://a::s3://b/c.zip"}, "stores within others|no kind of store"),
        ({"name": "out/a.jpg"}, "lies among the results"),
        ({"name": "a.jpg", "scale": "many"}, "give a number"),
        ({"name": "a.jpg", "scale": "1e999"}, "give a number"),
        ({"name": "a.jpg", "scale": "2", "width": "3"}, "give only one"),
        ({"name": "a.jpg", "texture": "2"}, "from 0 to 1"),
        ({"name": "a.jpg", "quality": "0"}, "from 1 to 100"),
        ({"name": "a.jpg", "width": "1.5"}, "whole number"),
        ({"name": "a.jpg", "format": "doc"}, "give one of png"),
        ({"name": "a.jpg", "fit": "9" * 5000}, "give the box"),
    ],
)
def test_a_row_that_says_what_cannot_be(tmp_path: Path, row: dict[str, object], text: str) -> None:
    """It is a photo with a fault; the other rows are not touched."""
    listed = write_list(tmp_path / "list.jsonl", [row, {"name": "good.jpg"}])
    bad, good = meant([listed], str(tmp_path / "out"))
    assert good.name == "good.jpg" and not good.fault
    assert re.search(text, bad.fault) and "\n" not in bad.fault and len(bad.fault) < 300


def test_a_list_from_elsewhere_names_no_files_of_this_machine() -> None:
    store = open_store("memory://lists")
    rows = [{"name": "/etc/passwd.jpg"}, {"name": "file:///etc/x.jpg"}, {"name": "a.jpg"}]
    store.write("list.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    faults = [one.fault for one in meant(["memory://lists/list.jsonl"], "/out")]
    assert [bool(fault) for fault in faults] == [True, True, False]
    assert "does not name files of this machine" in faults[0]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.csv", b"file,scale\na.jpg,2\n", 'no column "name"'),
        ("a.csv", b"name,scael\na.jpg,2\n", "did you mean scale"),
        ("a.csv", b"name,scale\na.jpg\n", "not as many fields"),
        ("a.csv", b"name\n", "a list without photos"),
        ("a.csv", b"name\n\xff\xfe\n", "cannot be read as a list"),
        ("a.csv", b'name\n"' + b"x" * 200000, "cannot be read as a list"),
        ("a.jsonl", b"[1]\n", "no object"),
        ("a.jsonl", b"{" * 100000, "cannot be read as a list"),
        ("a.jsonl", b"[" * 100000, "cannot be read as a list"),
        ("a.parquet", b"PAR1 no", "cannot be read as a list"),
    ],
)
def test_a_list_that_is_none(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=text) as caught:
        meant([str(tmp_path / name)], str(tmp_path / "out"))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_lines_come_back_as_they_were() -> None:
    items = [
        Item("a\0", "s3://b", "\udcff.jpg", rivals=(("s3://b", "x"),), options={"scale": 2.0}),
        Item("b\0", "/x", "y", 3, "v", "fault", sure=False),
    ]
    assert [*read_lines(Item, write_lines(items))] == items
    ended = [Ended("a\0", "s", "t", "failed", "why", "photo", input_size=(1, 2), seconds={"pull": 0.5})]
    assert [*read_lines(Ended, write_lines(ended))] == ended
    for foreign in (b"[]\n", b'{"x": 1}\n', b"{}\n", b"\xff\n", b'{"key": 1, "rivals": 3}\n'):
        with pytest.raises(ValueError, match=r"no line|UTF-8"):
            [*read_lines(Item, foreign)]
