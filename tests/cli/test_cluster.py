"""`--cluster` and what needs it: what is refused, in one line, before Ray is even looked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ..conftest import MakeModel, Run, save_photos


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["s3://bucket/in", "-o", "out"], "s3://bucket/in: a place on a store; give --cluster auto"),
        (["in", "-o", "s3://bucket/a//b"], "s3://bucket/a//b: a place on a store"),
        (["in", "--profile", "by-camera"], "sorts photos by their cameras with --cluster only"),
        (["in", "--cluster", "auto"], "name the place of the results by -o"),
        (["-", "-o", "out", "--cluster", "auto"], "leave --cluster out"),
        (["in", "-o", "-", "--cluster", "auto"], "leave --cluster out"),
        (["in", "-o", "out", "--cluster", "auto", "--compare", "a.html"], "leave it out, or --cluster"),
        (["in", "-o", "a.png", "--cluster", "auto"], "one file cannot take the results"),
        (["in", "-o", "https://host/out", "--cluster", "auto"], "takes no files; name a folder or a bucket"),
        (["in", "-o", "ftp://host/out", "--cluster", "auto"], "no kind of store that is known"),
        (["in", "-o", "in", "--cluster", "auto"], "lies in the folder of results, or is that"),
        (["nowhere", "-o", "out", "--cluster", "auto"], "no such file or folder"),
        (["in", "-o", "out", "--cluster", "auto", "--time-limit", "0"], "give seconds above 0"),
        (["in", "-o", "out", "--cluster", "auto", "--time-limit", "nan"], "give seconds above 0"),
        (["in", "-o", "memory://out", "--cluster", "auto", "--keep-date"], "keeps no dates; leave it out"),
        (
            ["in", "-o", "out", "--cluster", "auto", "--profile", "by-camera", "--model", "plain"],
            "does not adapt",
        ),
        (["in", "-o", "out", "--cluster", "127.0.0.1:1"], "no Ray cluster answers there"),
    ],
)
def test_what_is_refused(
    arguments: list[str],
    text: str,
    run: Run,
    tmp_path: Path,
    make_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ray" if "127.0.0.1:1" in arguments else "fsspec")
    pytest.importorskip("aiohttp")
    monkeypatch.chdir(tmp_path)
    save_photos(tmp_path / "in", 1, 16, 20)
    model = make_model("plain", adaptive=False) if "plain" in arguments else make_model()
    arguments = [str(model) if one == "plain" else one for one in arguments]
    code, _, err = run("upscale", *arguments, *([] if "--model" in arguments else ["--model", model]))
    assert code == 2 and text in " ".join(err.split()) and len(err.splitlines()) == 1, err
    assert not [*tmp_path.rglob("*_x4*")] and not [*tmp_path.rglob(".blindsr-cluster")]


def test_without_the_extra(
    run: Run, tmp_path: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ray", "fsspec"):
        monkeypatch.setitem(sys.modules, name, None)
    folder, model = save_photos(tmp_path / "in", 1, 16, 20), make_model()
    for out, cluster in ((tmp_path / "out", "auto"), ("s3://bucket/out", "auto")):
        code, _, err = run("upscale", folder, "-o", out, "--cluster", cluster, "--model", model)
        assert code == 2 and 'pip install "blindsr[cluster]"' in " ".join(err.split()), err
