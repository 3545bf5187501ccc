"""A test set made by workers: the names, bytes, manifest and errors of one machine, in whatever order."""

from __future__ import annotations

import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from blindsr.cluster import planning, ray_pool
from blindsr.cluster.degrading import Degrading
from blindsr.cluster.stores import open_store
from blindsr.degradation import Degradation, RandomDegradation, TwoStageSpace, degrade_protocol, find_tasks
from blindsr.degradation.manifest import seed_of

from ..conftest import Run, made_photo, save_photos
from .pools import LocalPool


@pytest.fixture(autouse=True)
def _workers_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "RayPool", partial(LocalPool, most=2))
    monkeypatch.setattr(ray_pool, "connected", lambda address: nullcontext())
    monkeypatch.setattr(planning, "SHARD", 2)


def tree(folder: Path) -> Path:
    """Photos of several kinds in folders; one that is broken, one too small, and what is no photo."""
    save_photos(folder / "a", 2, 24, 29)
    save_photos(folder, 1, 33, 24)
    Image.fromarray(made_photo(26, 24)).convert("L").save(folder / "a.b.png")
    Image.fromarray(made_photo(1, 24)).save(folder / "c-tiny.bmp")
    Image.fromarray(made_photo(24, 24)).save(folder / "suffixless", "PNG")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    (folder / "notes.txt").touch()
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, without what is hidden."""
    found = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in found.items() if ".blindsr-cluster" not in name}


@pytest.mark.slow
def test_names_bytes_manifest_and_errors_of_one_machine(tmp_path: Path, run: Run) -> None:
    folder = tree(tmp_path / "in")
    command = ["degrade", folder, "--protocol", "real-esrgan", "--seed", "3", "--scale", "2", "--json"]
    code, out, _ = run(*command, "-o", tmp_path / "one")
    assert code == 3
    one = sorted((json.loads(line) for line in out.splitlines()), key=lambda record: record["source"])
    for again in (False, True):
        code, out, err = run(*command, "-o", tmp_path / "many", "--cluster", "auto")
        assert out, err
        *many, summary = (json.loads(line) for line in out.splitlines())
        assert code == 3 and summary["summary"]["skipped"] == 4 * again, err
        found = [{key: record[key] for key in one[0]} for record in many]
        wanted = [record for record in one if record["error"] or not again]
        assert sorted(found, key=lambda record: record["source"]) == wanted
        assert files(tmp_path / "many") == files(tmp_path / "one")
    assert {record["source"] for record in one if record["error"]} == {"broken.png", "c-tiny.bmp"}
    assert len({record["node"] for record in many}) >= 1 and "notes.txt" not in str(many)


@pytest.mark.slow
def test_from_a_store_to_a_store(tmp_path: Path, run: Run) -> None:
    """A photo's noise follows from its name in the store."""
    pytest.importorskip("fsspec")
    place = f"memory://{uuid4().hex}"
    folder, store = save_photos(tmp_path / "in" / "deep", 2, 24, 24).parent, open_store(f"{place}/in")
    for file in folder.rglob("*.png"):
        store.push(file, file.relative_to(folder).as_posix())
    text = "blur=1.2,noise=9,jpeg=70"
    assert run("degrade", folder, "-o", tmp_path / "one", "--degrade", text)[0] == 0
    code, _, err = run("degrade", store.place, "-o", f"{place}/out", "--degrade", text, "--cluster", "auto")
    assert code == 0, err
    out = open_store(f"{place}/out")
    assert {entry.name: out.read(entry.name) for entry in out.entries()} == files(tmp_path / "one")


@pytest.mark.slow
def test_a_folder_for_each_task(tmp_path: Path, run: Run) -> None:
    folder = save_photos(tmp_path / "in", 3, 48, 48)
    degrade_protocol(folder, tmp_path / "one", "dasr-iso", 4, 5)
    for out in (tmp_path / "many", folder / "LR"):  # LR photos among the photos are none
        code, _, err = run(
            "degrade", folder, "-o", out, "--protocol", "dasr-iso", "--seed", "5", "--cluster", "auto"
        )
        assert code == 0, err
        assert files(out) == files(tmp_path / "one")


def test_what_is_refused(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_photos(tmp_path / "in", 1, 16, 16)
    (tmp_path / "list.csv").write_text("name\nin/0.png\n")
    for arguments, text in (
        (["s3://bucket/in", "-o", "out"], "s3://bucket/in: a place on a store; give --cluster auto"),
        (["in", "-o", "s3://bucket/out"], "s3://bucket/out: a place on a store"),
        (["in", "-o", "out", "--memory", "1G"], "--memory: bounds the workers of a cluster here"),
        (["list.csv", "-o", "out", "--cluster", "auto"], "a list of photos; name the folder"),
        (["in", "-o", "in", "--cluster", "auto"], "lies in the folder of results, or is that"),
        (["in", "-o", "out", "--cluster", "auto", "--tries", "0"], "tries"),
        (["in", "-o", "https://host/out", "--cluster", "auto"], "takes no files"),
    ):
        code, _, err = run("degrade", *arguments)
        assert code == 2 and text in " ".join(err.split()), err
    assert not (tmp_path / "out").exists()


def test_whose_results_have_the_same_bytes(tmp_path: Path) -> None:
    """Another degradation or seed is another batch; values of which each photo draws its own are in it."""

    def identity(task: Any, seed: int = 0) -> Any:
        return json.loads(json.dumps(Degrading(task=task, seed=seed).maker().identity))

    one = identity(Degradation(2))
    assert one == identity(Degradation(2)) != identity(Degradation(2), 1)
    assert one != identity(Degradation(2, noise=1.0)) != identity(*find_tasks("real-esrgan", 2))
    assert identity(RandomDegradation("x", TwoStageSpace(scale=2))) != identity(*find_tasks("camera", 2))


def test_a_name_that_is_no_unicode_has_a_seed() -> None:
    assert seed_of("\udcff.png", 0) != seed_of("\udcfe.png", 0)
