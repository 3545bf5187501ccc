"""A page of many photos: grows photo by photo, appears complete or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from blindsr.comparison import ComparisonPage
from blindsr.errors import InputError

from ..conftest import made_photo
from .test_slider import check_offline, embedded


@pytest.fixture
def pairs(tmp_path: Path) -> list[tuple[Path, Path]]:
    """Files of five photos, and of the same photos twice as large, in two folders."""
    made = []
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    for number in range(5):
        photo = made_photo(20, 30, seed=number)
        source, target = tmp_path / "in" / f"{number}.png", tmp_path / "out" / f"{number}_x2.png"
        Image.fromarray(photo).save(source)
        Image.fromarray(photo.repeat(2, axis=0).repeat(2, axis=1)).save(target)
        made.append((source, target))
    return made


def test_every_photo_is_on_the_page(tmp_path: Path, pairs: list[tuple[Path, Path]]) -> None:
    with ComparisonPage(tmp_path / "page.html") as page:
        for source, target in pairs:
            page.add(source, target)
            assert not (tmp_path / "page.html").exists()
    found = check_offline((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert len(found.all("template")) == len(found.all("figure")) == 5
    images = embedded(found)
    assert len(images) == 15  # a thumbnail and two sides each
    for number, (thumbnail, before, after) in enumerate(zip(*[iter(images)] * 3, strict=True)):
        assert max(thumbnail.shape) <= 112
        assert (before == made_photo(20, 30, seed=number)).all() and after.shape == (40, 60, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "page.html"]


def test_photos_beyond_the_limit_are_linked(tmp_path: Path, pairs: list[tuple[Path, Path]]) -> None:
    odd = tmp_path / "in" / os.fsdecode(b'javascript:a"b #1%?\xe9.png')
    pairs[4][0].rename(odd)
    (tmp_path / "pages").mkdir()
    with ComparisonPage(tmp_path / "pages" / "page.html", shown_photos=3) as page:
        for source, target in [*pairs[:4], (odd, pairs[4][1])]:
            page.add(source, target)
    found = check_offline((tmp_path / "pages" / "page.html").read_text(encoding="utf-8"))
    assert len(found.all("figure")) == 3
    assert "only 3 photos are" in found.text
    assert [link["href"] for link in found.all("a")] == [
        "./../in/3.png",
        "./../out/3_x2.png",
        "./../in/javascript%3Aa%22b%20%231%25%3F%E9.png",
        "./../out/4_x2.png",
    ]


def test_photo_that_cannot_be_shown_is_noted(tmp_path: Path, pairs: list[tuple[Path, Path]]) -> None:
    pairs[1][1].write_bytes(b"no picture")
    with ComparisonPage(tmp_path / "page.html") as page:
        for source, target in pairs[:3]:
            page.add(source, target)
        page.leave_out(
            tmp_path / "in" / "9.png", f"{tmp_path / 'in' / '9.png'}: not a readable picture (<b>)"
        )
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    found = check_offline(text)
    assert len(found.all("figure")) == 2
    assert "1.png" in found.text and "not a readable picture (<b>)" in found.text
    assert found.text.count("9.png: not a readable") == 1 and "9.png: 9.png" not in found.text
    assert str(tmp_path) not in text  # where the photos lay is nobody's business


def test_page_without_photos_says_so(tmp_path: Path) -> None:
    with ComparisonPage(tmp_path / "page.html"):
        pass
    assert "No photo to show" in check_offline((tmp_path / "page.html").read_text(encoding="utf-8")).text


def test_interrupted_page_does_not_appear(tmp_path: Path, pairs: list[tuple[Path, Path]]) -> None:
    (tmp_path / "page.html").write_text("an earlier page")
    with pytest.raises(KeyboardInterrupt), ComparisonPage(tmp_path / "page.html") as page:
        page.add(*pairs[0])
        raise KeyboardInterrupt
    assert (tmp_path / "page.html").read_text() == "an earlier page"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "page.html"]


def test_the_folder_is_made_or_its_lack_found_before_the_work(tmp_path: Path) -> None:
    with ComparisonPage(tmp_path / "new" / "folder" / "page.html"):
        pass
    assert (tmp_path / "new" / "folder" / "page.html").exists()
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"page\.html: cannot be written"),
        ComparisonPage(tmp_path / "file" / "page.html"),
    ):
        pytest.fail("it was begun")


def test_same_photos_same_bytes(tmp_path: Path, pairs: list[tuple[Path, Path]]) -> None:
    for name in ("a", "b"):
        with ComparisonPage(tmp_path / f"{name}.html") as page:
            for source, target in pairs:
                page.add(source, target)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
