"""Training on a rented machine: what travels, what is refused there, and what a run leaves, killed or not."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from blindsr.checkpoint.reading import load_network
from blindsr.dataset.photos import split_holdout
from blindsr.errors import InputError
from blindsr.training import load_config
from blindsr.training.state import read_average

from ..children import started

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "minutes.py"


@pytest.fixture(scope="module")
def minutes() -> Iterator[ModuleType]:
    """benchmarks/minutes.py, which lies outside the package."""
    sys.path.insert(0, str(SCRIPT.parent))
    path = list(sys.path)
    try:
        spec = importlib.util.spec_from_file_location("minutes", SCRIPT)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["minutes"] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path[:] = [entry for entry in path if entry != str(SCRIPT.parent)]
        for name in ("minutes", "packing", "tuning", "arithmetic", "places"):
            sys.modules.pop(name, None)


@pytest.fixture
def packing(minutes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/packing.py, whose cache is of this test alone."""
    import packing  # type: ignore[import-not-found, unused-ignore]

    monkeypatch.setattr(packing, "ROOT", tmp_path)
    module: ModuleType = packing
    return module


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_photos_are_encoded_to_fit(packing: ModuleType, recipe: Path, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    packing.pack(recipe, folder, 10**7)
    assert {f.suffix for f in (folder / "photos").iterdir()} == {".png", ".jpg"}  # there is room: as they are
    least = packing.Packer(tmp_path / "other", 10**7)
    sizes = [sum(len(least._encoded(f, q)) for f in photos.iterdir()) for q in (95, 60)]
    rest = size_of(folder) - size_of(folder / "photos") + 2**14 + 160 * 28
    manifest = packing.pack(recipe, folder, rest + sizes[1] + (sizes[0] - sizes[1]) // 2)
    packed = manifest["photos"]
    assert packed["count"] == packed["avif"] == 8
    assert 60 < packed["quality"] < 95
    assert packed["psnr"] > 25
    with Image.open(folder / "photos" / "00003.avif") as image:
        assert image.size == (72, 96)  # upright
    assert size_of(folder) <= rest + sizes[0]


def test_photos_held_out_stay_so_where_others_are_left_out(
    packing: ModuleType, recipe: Path, photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pack"
    least = packing.Packer(tmp_path / "other", 10**7)
    files = sorted(photos.iterdir())
    sizes = {file: len(least._encoded(file, 60)) for file in files}
    room = sum(sizes.values()) * 6 // 8
    packed = packing.Packer(folder, 10**7).add_photos(files, 2, room)
    assert 3 <= packed["count"] < 8
    held_out, _ = split_holdout(sorted((folder / "photos").iterdir()), 2)
    original, _ = split_holdout(files, 2)
    assert [file.read_bytes() for file in held_out] == [least._encoded(file, 60) for file in original]


def test_too_large_a_pack_is_refused(packing: ModuleType, recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="may travel"):
        packing.pack(recipe, tmp_path / "pack", 5000)
    assert not (tmp_path / "pack").exists()
    with pytest.raises(InputError, match="no pack"):
        packing.pack(recipe, tmp_path, 10**7)


def test_what_was_changed_on_the_way_is_refused(
    minutes: ModuleType, packing: ModuleType, recipe: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pack"
    packing.pack(recipe, folder, 10**7)
    assert minutes.verified(folder)["name"] == "tiny"
    photo = folder / "photos" / "00001.png"
    content = photo.read_bytes()
    photo.write_bytes(content[:-1] + b"x")
    with pytest.raises(SystemExit, match=r"00001\.png: not what was packed"):
        minutes.verified(folder)
    photo.unlink()
    with pytest.raises(SystemExit, match=r"00001\.png: is missing"):
        minutes.verified(folder)
    photo.write_bytes(content)
    (folder / "photos" / "more.png").write_bytes(content)
    with pytest.raises(SystemExit, match=r"more\.png: not in the manifest"):
        minutes.verified(folder)
    with pytest.raises(SystemExit, match="not a pack"):
        minutes.verified(tmp_path)


def test_wheels_for_another_python_are_not_installed(
    minutes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = {"python": "3.1", "wheels": {"pydantic": []}}
    minutes._install(tmp_path, manifest, tmp_path / "site")
    assert "uses what is installed" in capsys.readouterr().out
    monkeypatch.setattr(minutes, "_has", lambda name: False)
    with pytest.raises(SystemExit, match="pydantic would be missing"):
        minutes._install(tmp_path, manifest, tmp_path / "site")


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("cp312-cp312-manylinux_2_17_x86_64", True),
        ("cp39-abi3-manylinux2014_x86_64", True),
        ("py3-none-any", True),
        ("cp311-cp311-manylinux_2_17_x86_64", False),
        ("cp312-cp312-musllinux_1_2_x86_64", False),
        ("cp312-cp312-manylinux_2_17_aarch64", False),
    ],
)
def test_wheels_that_fit(packing: ModuleType, tag: str, fits: bool) -> None:
    assert packing._fits(tag, "3.12") is fits


def test_all_that_a_run_reads_travels(
    minutes: ModuleType, packing: ModuleType, unified_recipe: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pack"
    packing.pack(unified_recipe, folder, 10**7)
    for name in ("cria", "cmdsr", "large"):
        (tmp_path / f"{name}.ckpt").unlink()
    moved = folder.rename(tmp_path / "moved")
    minutes.verified(moved)
    config: Any = load_config(moved / "recipe.yaml", minutes._places(moved, tmp_path / "work"))
    for path in (config.init, config.init_condition, config.teacher.weights):
        assert Path(path).parent == moved
        load_network(Path(path))


@pytest.mark.parametrize("name", ["recipe", "unified_recipe"])
def test_sizes_of_batches(
    minutes: ModuleType, name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What is tried is what the recipe trains, whether batches are of tasks alone or drawn from a pool."""
    import tuning  # type: ignore[import-not-found, unused-ignore]

    config: Any = load_config(request.getfixturevalue(name), [f"data.cache={tmp_path / 'cache'}"])
    for phase, _ in tuning.parts(config):
        assert tuning.batch_of(config, phase) == 4
        larger = tuning.with_batch(config, phase, 6)
        assert tuning.batch_of(larger, phase) == 6
    sizes = list(tuning._ladder(config, phase, torch.device("cuda")))
    assert sizes == [4, 8, 16] and max(sizes) <= getattr(config.data, "pool", 16)
    trials: list[Any] = []
    tuned, trials = tuning.tune(config, 0.01, lambda text: None)
    assert len(trials) == len(tuning.parts(config)) and all(t.seconds > 0 for t in trials)
    assert max(t.patches for t in trials) == 8
    assert tuning.batch_of(tuned, phase) == 4


def run_here(minutes: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    path = list(sys.path)
    monkeypatch.setattr(minutes, "STARTED", time.monotonic())
    monkeypatch.setattr(sys, "argv", ["minutes.py", "run", *map(str, arguments)])
    try:
        minutes.main()
    finally:
        sys.path[:] = path


@pytest.mark.slow
def test_a_run_leaves_what_the_next_goes_on_from(
    minutes: ModuleType,
    packing: ModuleType,
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_time: None,
) -> None:
    import arithmetic  # type: ignore[import-not-found, unused-ignore]

    monkeypatch.setattr(arithmetic, "SIDE", 256)
    monkeypatch.setattr(minutes, "COUNTING", 0.1)
    folder, first, second = tmp_path / "pack", tmp_path / "first", tmp_path / "second"
    packing.pack(recipe, folder, 10**7)
    common = ("--minutes", 0.09, "--tune", 0.4, "--work", tmp_path / "work", "--threads", 1)
    begun = time.monotonic()
    run_here(minutes, monkeypatch, folder, "--out", first, *common)
    assert time.monotonic() - begun < 60 * 0.09 + 2
    assert {file.name for file in first.iterdir()} == {"tiny.npz", "tiny.json", "weights.ckpt", "log.jsonl"}
    assert max(file.stat().st_size for file in first.iterdir()) < 2**20
    lines = [json.loads(line) for line in (first / "log.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines if line["kind"] != "progress"] == ["begun", "reached", "computed"]
    assert {line["phase"] for line in lines if line["kind"] == "progress"} == {"restore", "together"}
    reached, computed = lines[-2:]
    assert reached["steps"] == sum(reached["steps by phase"].values()) > 2
    assert reached["restored patches"] > 0
    assert 0 < computed["GFLOP of a step, restore"] < computed["GFLOP of a step, together"]
    network, _ = load_network(first / "weights.ckpt")
    trunk, _ = read_average(first / "tiny.npz")
    assert network.state_dict().keys() == trunk.keys()
    assert "bicubic" in capsys.readouterr().out  # validated

    packing.pack(recipe, folder, 10**7, state=first / "tiny.npz")
    run_here(minutes, monkeypatch, folder, "--out", second, *common)
    before, after = (json.loads((out / "tiny.json").read_text()) for out in (first, second))
    assert f"goes on from step {before['step']}," in capsys.readouterr().out
    assert after["step"] > before["step"]
    assert [run["patches"] > 0 for run in after["runs"]] == [True, True]


@pytest.mark.slow
def test_a_run_on_a_pool_of_tasks_goes_on_from_a_state(
    minutes: ModuleType,
    packing: ModuleType,
    unified_recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own_time: None,
) -> None:
    import arithmetic  # type: ignore[import-not-found, unused-ignore]

    monkeypatch.setattr(arithmetic, "SIDE", 256)
    monkeypatch.setattr(minutes, "COUNTING", 0.1)
    folder, outs = tmp_path / "pack", [tmp_path / "first", tmp_path / "second"]
    for i, out in enumerate(outs):
        packing.pack(unified_recipe, folder, 10**7, state=outs[0] / "tiny.npz" if i else None)
        common = ("--minutes", 0.12, "--tune", 0.4, "--work", tmp_path / "work", "--threads", 1)
        run_here(minutes, monkeypatch, folder, "--out", out, *common)
        lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        assert lines[-1]["kind"] == "computed" and lines[-1]["TFLOP/s"] > 0
        losses = [line["losses"] for line in lines if line["kind"] == "progress"]
        assert losses and {"pixel", "adversarial", "contrastive", "discriminator"} <= set(losses[-1])
    before, after = (json.loads((out / "tiny.json").read_text()) for out in outs)
    assert after["step"] > before["step"] > 0
    assert [one["file"] for one in after["teachers"]] == ["teacher.ckpt"]


@pytest.mark.slow
def test_a_killed_run_leaves_a_whole_state(packing: ModuleType, recipe: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "pack", tmp_path / "out"
    packing.pack(recipe, folder, 10**7)
    command = [sys.executable, SCRIPT, "run", folder, "--out", out, "--minutes", "5", "--tune", "0"]
    command += ["--keep", "0.05", "--threads", "1", "--work", tmp_path / "work"]
    with started(*command, stdout=None, stderr=None) as process:
        while not (out / "tiny.json").is_file() and process.poll() is None:
            time.sleep(0.02)
        time.sleep(0.3)
        process.kill()
    weights, spec = read_average(out / "tiny.npz")
    assert spec["basenet"]["channels"] == 4
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
