"""Compact states: what comes back of a run, how large they are, and files that are none."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blindsr.checkpoint.reading import read_tensors
from blindsr.errors import ConfigError, ModelError
from blindsr.training import Progress, load_config, train
from blindsr.training.checkpoint import restore_checkpoint
from blindsr.training.ema import WeightAverage
from blindsr.training.loop import RECIPES
from blindsr.training.recipe import Recipe
from blindsr.training.state import _to_codes, _to_values, read_state
from blindsr.training.step import TrainingStep

from ..conftest import textured_photos, tiny_run

CPU = torch.device("cpu")
RECORD = {"step": 7, "patches": 28, "phase": "", "runs": []}


class Run:
    """A run's parts, without its loop."""

    def __init__(self, config_file: Path, *overrides: str, seed: int = 5) -> None:
        self.config = load_config(config_file, list(overrides))
        torch.manual_seed(seed)
        self.recipe: Recipe = RECIPES[self.config.recipe](self.config)
        self.average = WeightAverage(self.recipe.network, self.config.ema)
        step = TrainingStep(self.recipe, self.recipe.network, self.average, self.config, CPU, bfloat16=False)
        self.optimisers = step.optimisers

    def read(self, state: Path) -> dict[str, Any]:
        return read_state(state, self.recipe, self.optimisers, self.average)

    def weights(self) -> dict[str, dict[str, torch.Tensor]]:
        """Of every network, kept from what follows."""
        modules = {"network": self.recipe.network, **self.recipe.auxiliary}
        return {
            name: {k: v.clone() for k, v in module.state_dict().items()} for name, module in modules.items()
        }

    def moments(self, name: str) -> list[dict[str, torch.Tensor]]:
        optimiser = self.optimisers[name]
        return [dict(optimiser.state[p]) for group in optimiser.param_groups for p in group["params"]]


@pytest.fixture
def trained(any_config_file: Path, tmp_path: Path) -> tuple[Path, Path, Path]:
    """Configuration, checkpoint and state of one and the same step."""
    state = tmp_path / "states" / "tiny.npz"
    last = train(load_config(any_config_file), tmp_path / "run", state=state)
    return any_config_file, last, state


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Configuration and folder of the state of one run for all tests, which change copies."""
    place = tmp_path_factory.mktemp("ended")
    config_file = tiny_run(place / "tiny.yaml", textured_photos(place / "photos"))
    train(load_config(config_file), place / "run", state=place / "states" / "tiny.npz")
    return config_file, place / "states"


@pytest.fixture
def saved(ended: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """Configuration and state of a run that has ended."""
    config_file, states = ended
    return config_file, shutil.copytree(states, tmp_path / "saved") / "tiny.npz"


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_what_comes_back(trained: tuple[Path, Path, Path]) -> None:
    config_file, checkpoint, state = trained
    exact, compact = Run(config_file), Run(config_file, seed=6)
    restore_checkpoint(checkpoint, exact.recipe, exact.optimisers, exact.average)
    record = compact.read(state)
    assert record["step"] == 6 and record["configuration"]["name"] == exact.config.name
    wanted, found = exact.weights(), compact.weights()
    assert found.keys() == wanted.keys()
    for name in wanted:
        floating = {k for k, v in wanted[name].items() if v.is_floating_point()}
        assert_equal({k: found[name][k] for k in floating}, {k: wanted[name][k] for k in floating})
    assert compact.average.updates == exact.average.updates == 6
    for name, average in exact.average.state_dict().items():
        difference = (average - wanted["network"][name]).abs()
        error = (compact.average.state_dict()[name] - average).abs()
        assert (error <= difference / 256 + 1e-7 * average.abs()).all(), name
        assert difference.max() > 0
    for name in exact.optimisers:
        largest = max(float(moment["exp_avg_sq"].max()) for moment in exact.moments(name))
        for before, after in zip(exact.moments(name), compact.moments(name), strict=True):
            assert float(after["step"]) == float(before["step"]) > 0
            assert not after["exp_avg"].any()
            second, again = before["exp_avg_sq"], after["exp_avg_sq"]
            assert torch.equal(second == 0, again == 0)
            assert (again >= 0.96 * second).all()
            # What lies below the scale of its block is at its lower end.
            assert ((again <= 1.04 * second) | (again <= 1.04 * 2.0**-24 * largest)).all()


def test_it_takes_few_bytes_a_weight(tmp_path: Path, config_file: Path) -> None:
    state = tmp_path / "state.npz"
    wider = "network.basenet.channels=48", "network.basenet.blocks=4", "steps=2"
    last = train(load_config(config_file, list(wider)), tmp_path / "run", state=state)
    weights = sum(tensor.numel() for tensor in read_tensors(last)["state"].values())
    assert weights > 100_000
    assert state.stat().st_size < 7.2 * weights
    record = json.loads(state.with_suffix(".json").read_text())
    assert record["bytes"] == state.stat().st_size
    assert record["sha256"] == hashlib.sha256(state.read_bytes()).hexdigest()


def test_auxiliary_networks_that_it_does_not_have_stay(saved: tuple[Path, Path]) -> None:
    config_file, state = saved
    run = Run(config_file, "loss.regression=1")
    before = run.weights()
    run.read(state)
    after = run.weights()
    assert_equal(after["reader"], before["reader"])
    assert not torch.equal(
        after["network"]["basenet.input_conv.weight"], before["network"]["basenet.input_conv.weight"]
    )
    assert not run.optimisers["condition"].state  # that group has other weights now
    assert run.optimisers["basenet"].state


def test_auxiliary_networks_that_are_no_more_are_left_out(config_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.npz"
    last = train(load_config(config_file, ["loss.regression=1"]), tmp_path / "run", state=state)
    run = Run(config_file)
    run.read(state)
    assert_equal(run.weights()["network"], read_tensors(last)["state"])


@pytest.mark.parametrize("change", ["network.basenet.channels=8", "network.condition=null"])
def test_another_network_is_refused(saved: tuple[Path, Path], change: str) -> None:
    config_file, state = saved
    with pytest.raises(ConfigError, match="the configuration says") as caught:
        Run(config_file, change).read(state)
    assert "\n" not in str(caught.value)


def write_as_if_whole(state: Path, content: bytes) -> None:
    """Write a file and let its JSON speak of it, as one who means harm would."""
    state.write_bytes(content)
    beside = state.with_suffix(".json")
    record = json.loads(beside.read_text())
    beside.write_text(json.dumps(record | {"sha256": hashlib.sha256(content).hexdigest()}))


def changed(content: bytes, **arrays: NDArray[Any] | None) -> bytes:
    """The same file with other arrays, or without them."""
    with np.load(io.BytesIO(content)) as found:
        kept = {name: found[name] for name in found.files} | arrays
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{k: v for k, v in kept.items() if v is not None})  # type: ignore[arg-type]
    return buffer.getvalue()


def with_header(content: bytes, **entries: Any) -> bytes:
    with np.load(io.BytesIO(content)) as found:
        header = json.loads(found["header"].tobytes()) | entries
    return changed(content, header=np.frombuffer(json.dumps(header).encode(), np.uint8))


def bomb(content: bytes) -> bytes:
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("large.npy", bytes(2**24))
    return buffer.getvalue()


def lying(content: bytes) -> bytes:
    """An array whose header tells of far more numbers than are there."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (4, 2**60)}
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, header.getvalue() if name == "weights.npy" else old.read(name))
    return buffer.getvalue()


def corrupt(content: bytes) -> bytes:
    """A stream that cannot be unpacked, in an archive that is whole."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        member = archive.getinfo("weights.npy")
        start = member.header_offset + 30 + len(member.filename) + 40
    return content[:start] + bytes(200) + content[start + 200 :]


FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda content: b"",
    "no archive": lambda content: b"PK" + content[:50],
    "a plain array": lambda content: b"\x93NUMPY" + content,
    "truncated": lambda content: content[: len(content) // 2],
    "corrupt": corrupt,
    "a bomb": bomb,
    "lying": lying,
    "no header": lambda content: changed(content, header=None),
    "header no JSON": lambda content: changed(content, header=np.zeros(9, np.uint8)),
    "header a list": lambda content: changed(content, header=np.frombuffer(b"[1, 2]", np.uint8)),
    "deep header": lambda content: changed(content, header=np.frombuffer(b"[" * 200_000, np.uint8)),
    "shapes a list": lambda content: with_header(content, shapes=[1]),
    "shapes of text": lambda content: with_header(content, shapes={"network/a": ["b"]}),
    "negative shapes": lambda content: with_header(content, shapes={"network/a": [-4, -5]}),
    "no updates": lambda content: with_header(content, updates=None),
    "steps of text": lambda content: with_header(content, steps={"basenet": "many"}),
    "steps a list": lambda content: with_header(content, steps=[1]),
    "no moments": lambda content: with_header(content, steps={"other": 3}),
    "few weights": lambda content: changed(content, weights=np.zeros((4, 3), np.uint8)),
    "weights of another kind": lambda content: changed(content, weights=np.zeros((4, 3), np.float64)),
    "Python objects": lambda content: changed(content, average=np.array([{}], object)),
    "moments of another kind": lambda content: changed(content, **{"moment/basenet": np.zeros((2, 2), "U3")}),
    "tops below zero": lambda content: changed(content, **{"tops/basenet": np.full(99, -1, np.float32)}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_is_none_is_told_in_one_line(saved: tuple[Path, Path], fault: str) -> None:
    config_file, state = saved
    write_as_if_whole(state, FAULTS[fault](state.read_bytes()))
    run = Run(config_file)
    before = run.weights()["network"]
    with pytest.raises(ModelError) as caught:
        run.read(state)
    assert str(state) in str(caught.value) and "\n" not in str(caught.value)
    assert_equal(run.weights()["network"], before)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "does not speak of a state"),
        ('{"format": "blindsr-state-1"}', "does not speak of a state"),
        ('{"format": "other", "step": 1, "patches": 1, "runs": []}', "does not speak of a state"),
        ('{"format": "blindsr-state-1", "step": "1", "patches": 1, "runs": []}', "does not speak of a state"),
        ('{"format": "blindsr-state-1", "step": 1, "patches": 1, "runs": []}', "another SHA-256"),
    ],
)
def test_a_json_that_does_not_fit_is_told(saved: tuple[Path, Path], text: str, why: str) -> None:
    config_file, state = saved
    state.with_suffix(".json").write_text(text)
    with pytest.raises(ModelError, match=why) as caught:
        Run(config_file).read(state)
    assert len(str(caught.value).splitlines()) == 1


def test_its_json_tells_no_places_of_a_machine(saved: tuple[Path, Path]) -> None:
    state = next(path for path in saved if path.suffix == ".npz")
    text = state.with_suffix(".json").read_text()
    assert str(state.parent) not in text
    assert json.loads(text)["configuration"]["data"]["photos"] == "photos"


def test_a_state_alone_is_none(saved: tuple[Path, Path]) -> None:
    config_file, state = saved
    state.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"tiny\.json: cannot be read"):
        Run(config_file).read(state)


@pytest.mark.parametrize("largest", [3e38, 1.0, 1e-20, 1e-36])
def test_second_moments_over_many_octaves(largest: float) -> None:
    rng = np.random.default_rng(0)
    values = (largest * 2.0 ** rng.uniform(-23.9, 0, 1000)).astype(np.float32)
    values[::7] = 0
    again = _to_values(*_to_codes(values))
    assert ((values == 0) == (again == 0)).all()
    normal = values > 1e-37
    assert normal.any()
    assert (np.abs(again - values)[normal] <= 0.04 * values[normal]).all()


def test_second_moments_of_any_size_stay_finite_and_never_shrink_a_lot() -> None:
    """What is below the scale of its block is rounded up, so that no step grows by it."""
    tiny = np.float32(1e-45)
    values = np.array([tiny, 1e-40, 1e-30, 1e-10, 1.0, np.inf, 0.0, tiny], np.float32)
    again = _to_values(*_to_codes(values))
    assert np.isfinite(again).all() and again[6] == 0
    assert (again[:6] >= 0.96 * np.nan_to_num(values[:6])).all()
    alone = np.array([tiny, 0.0], np.float32)
    assert (_to_values(*_to_codes(alone)) == alone).all()
    assert len(_to_values(*_to_codes(np.zeros(0, np.float32)))) == 0
    assert not _to_values(*_to_codes(np.zeros(300, np.float32))).any()


def test_runs_go_on_one_after_the_other(config_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "tiny.npz"
    train(load_config(config_file), tmp_path / "a", state=state)
    first = json.loads(state.with_suffix(".json").read_text())
    reports: list[Progress] = []
    settings = load_config(config_file, ["steps=4"])
    last = train(settings, tmp_path / "b", state=state, report=reports.append)
    assert last.name == "step-00000010.ckpt"
    assert [p.step for p in reports] == [7, 8, 9, 10]  # so batches go on as well
    assert [p.share for p in reports] == [0.25, 0.5, 0.75, 1]
    second = json.loads(state.with_suffix(".json").read_text())
    assert (first["step"], second["step"]) == (6, 10)
    assert (first["patches"], second["patches"]) == (6 * 4, 10 * 4)
    assert second["runs"][0] == first["runs"][0]
    assert [(run["steps"], run["patches"]) for run in second["runs"]] == [(6, 24), (4, 16)]
    assert [[v["step"] for v in run["validation"]] for run in second["runs"]] == [[3, 6], [9, 10]]
    row = second["runs"][1]["validation"][0]["psnr, ssim, bicubic"]["mean"]
    assert len(row) == 3 and 5 < row[0] < 60


def test_a_run_that_goes_on_draws_the_batches_that_come_next(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blindsr.training.cmdsr import CMDSRRecipe

    state, drawn = tmp_path / "tiny.npz", []
    prepare = CMDSRRecipe.prepare

    def note(self: CMDSRRecipe, batch: Any) -> Any:
        drawn.append(batch.step)
        return prepare(self, batch)

    monkeypatch.setattr(CMDSRRecipe, "prepare", note)
    for steps in (3, 4):
        train(load_config(config_file, [f"steps={steps}"]), tmp_path / str(steps), state=state)
    assert drawn == list(range(7))


def test_a_run_that_goes_on_and_is_resumed_keeps_its_history(config_file: Path, tmp_path: Path) -> None:
    state, other = tmp_path / "tiny.npz", tmp_path / "other.npz"
    train(load_config(config_file), tmp_path / "a", state=state)
    train(load_config(config_file, ["checkpoint_every=8"]), tmp_path / "b", state=state)
    reports: list[Progress] = []
    last = train(
        load_config(config_file), tmp_path / "c", resume=tmp_path / "b" / "step-00000008.ckpt", state=other,
        report=reports.append,
    )  # fmt: skip
    assert [p.step for p in reports] == [9, 10, 11, 12] and last.name == "step-00000012.ckpt"
    record = json.loads(other.with_suffix(".json").read_text())
    assert [run["steps"] for run in record["runs"]] == [6, 2, 4]
    assert record["patches"] == 48 == sum(run["patches"] for run in record["runs"])


def test_a_state_comes_before_the_weights_to_start_from(config_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "tiny.npz"
    gentle = "optimiser.lr=1e-9", "condition_optimiser.lr=1e-9", "steps=1"
    _ = train(load_config(config_file, ["seed=1"]), tmp_path / "other")
    init = f"init={tmp_path / 'other' / 'weights.ckpt'}"
    first = read_tensors(train(load_config(config_file, [init, *gentle]), tmp_path / "a", state=state))
    other = read_tensors(tmp_path / "other" / "weights.ckpt")
    torch.testing.assert_close(first["state"], other["state"], atol=1e-6, rtol=0)  # it was not there yet
    train(load_config(config_file, ["steps=2", "optimiser.lr=1e-2"]), tmp_path / "b", state=state)
    kept = read_tensors(tmp_path / "b" / "step-00000003.ckpt")
    second = read_tensors(train(load_config(config_file, [init, *gentle]), tmp_path / "c", state=state))
    torch.testing.assert_close(second["state"], kept["state"], atol=1e-6, rtol=0)
    name = "basenet.input_conv.weight"
    assert not torch.allclose(second["state"][name], other["state"][name], atol=1e-4)


def test_the_discriminator_goes_on_as_well(cria_config_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "tiny.npz"
    last = train(load_config(cria_config_file), tmp_path / "a", state=state)
    trained = read_tensors(last)["companions"]["discriminator"]
    run = Run(cria_config_file)
    run.read(state)
    floating = {k: v for k, v in run.weights()["discriminator"].items() if v.is_floating_point()}
    assert_equal(floating, {k: trained[k] for k in floating})
    record = json.loads(state.with_suffix(".json").read_text())
    assert record["phase"] == "all"
