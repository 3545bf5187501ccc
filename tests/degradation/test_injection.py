"""Injection: noise cut from photos, banks on the disk, and what is done with them."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blindsr.degradation import (
    BankBuilder,
    Injection,
    InjectionBank,
    InjectionSpace,
    MixedSpace,
    degrade,
    jpeg,
    noise_patches,
    read_space,
)
from blindsr.errors import InputError


@pytest.fixture
def bank() -> InjectionBank:
    """Two kernels for scale 2 and three noise patches of three deviations."""
    rng = np.random.default_rng(0)
    kernels = rng.random((2, 6, 6)) + 0.1
    kernels /= kernels.sum(axis=(1, 2), keepdims=True)
    noise = rng.normal(0, 1, (3, 3, 8, 8)) * np.array([0.01, 0.02, 0.04]).reshape(3, 1, 1, 1)
    photos = ("sky.jpg", "Mauer rot ü.png")
    return InjectionBank(
        2, kernels.astype(np.float32), noise.astype(np.float16), photos, np.array([0, 1]), np.array([0, 1, 1])
    )


def wall(noise: float, seed: int = 0, side: int = 144) -> NDArray[np.float32]:
    """A lit wall, (side, side, 3): a slope, a bend and white noise of so many levels."""
    y, x = np.mgrid[:side, :side] / side
    light = 0.4 + 0.1 * x - 0.15 * y + 0.1 * x * x
    grain = np.random.default_rng(seed).normal(0, noise / 255, (side, side, 3))
    return (np.rint((light[:, :, None] + grain) * 255) / 255).astype(np.float32)


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_noise_of_a_smooth_wall_is_its_noise(noise: float) -> None:
    patches = noise_patches(wall(noise), most=10)
    assert patches.shape == (10, 3, 48, 48) and patches.dtype == np.float16
    assert patches.std(dtype=np.float64) * 255 == pytest.approx(noise, rel=0.1)  # without the light
    assert np.abs(patches.mean(axis=(2, 3), dtype=np.float64)).max() < 1e-5


def test_strong_noise_needs_to_be_known_of(scene: NDArray[np.float32]) -> None:
    assert len(noise_patches(wall(15.0))) == 0
    assert len(noise_patches(wall(15.0), noise=9.0)) > 5
    assert len(noise_patches(wall(3.0), most=0)) == 0


def test_what_is_no_noise_is_left_out(scene: NDArray[np.float32]) -> None:
    side = 144
    assert len(noise_patches(scene)) == 0
    painted = np.full((side, side, 3), 0.5, np.float32)
    assert len(noise_patches(painted)) == 0
    assert len(noise_patches(wall(3.0) - 0.45)) < len(
        noise_patches(wall(3.0), most=100)
    )  # black where clipped
    stripes = wall(1.0) + 0.012 * np.sin(np.arange(side, dtype=np.float32) * 0.9)[:, None]
    assert len(noise_patches(stripes)) == 0
    half = wall(1.0)
    half[:, side // 2 + 3 :] = wall(3.5)[:, side // 2 + 3 :]
    strengths = noise_patches(half, most=100).std(axis=(1, 2, 3), dtype=np.float64) * 255
    assert ((np.abs(strengths - 1) < 0.2) | (np.abs(strengths - 3.5) < 0.4)).all()
    assert len(noise_patches(wall(2.0)[:40])) == 0
    assert noise_patches(wall(2.0)[:, :, :1]).shape[1] == 3
    with pytest.raises(InputError, match="a photo must be"):
        noise_patches(wall(2.0)[:, :, :2])


def test_is_blur_decimation_noise_and_jpeg(bank: InjectionBank, photo: NDArray[np.float32]) -> None:
    task = Injection(bank, kernel=1, noise=2, offset=(3, 5))
    result = degrade(photo, task, seed=0, quantise=False)
    assert result.shape == (1, 3, 48, 32)
    padded = np.pad(photo, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    place = (
        slice(None),
        slice(20, 26),
        slice(30, 36),
    )  # six pixels about HR 20..21, 30..31 less two: LR 10, 15
    clean = (padded[0][place] * bank.kernels[1]).sum(axis=(1, 2))
    noise = bank.noise[2][
        :, [3, 4, 5, 6, 7, 6, 5, 4, 3, 2, 1][10], [5, 6, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6][15]
    ]
    np.testing.assert_allclose(result[0, :, 10, 15], clean + noise, atol=1e-5)
    np.testing.assert_array_equal(degrade(photo, replace(task, jpeg=70), seed=0), jpeg(result, 70))
    np.testing.assert_array_equal(degrade(photo, task, seed=9), degrade(photo, task, seed=0))


def test_tensor_equals_array(bank: InjectionBank, batch: NDArray[np.float32]) -> None:
    task = Injection(bank, kernel=0, noise=1, offset=(7, 0))
    expected = degrade(batch, task, 0, quantise=False)
    result = degrade(torch.from_numpy(batch), task, 0, quantise=False)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-5)
    alone = degrade(batch[2:], task, 0, quantise=False, first_item=2)
    np.testing.assert_allclose(alone, expected[2:], atol=1e-6)
    flat = np.full((3, 3, 32, 32), 0.5, np.float32)
    grain = degrade(flat, task, 0, quantise=False) - 0.5
    assert np.abs(grain[0] - grain[1]).max() > 0.01  # each image of a batch has a noise of its own


def test_brightness_is_kept(bank: InjectionBank) -> None:
    flat = np.full((1, 3, 40, 40), 0.3, np.float32)
    np.testing.assert_allclose(degrade(flat, Injection(bank, 1), 0, quantise=False), 0.3, atol=1e-5)


def test_bank_comes_back_from_its_file(bank: InjectionBank, tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    bank.write(path)
    again = InjectionBank.read(path)
    assert again == bank and hash(again) == hash(bank) and again.path == path
    assert again.photos == bank.photos
    np.testing.assert_array_equal(again.noise_photos, [0, 1, 1])
    assert replace(bank, kernels=bank.kernels[::-1]) != bank
    with np.load(path, allow_pickle=False) as content:
        assert set(content) == {"scale", "kernels", "noise", "photos", "kernel_photos", "noise_photos"}


def test_tasks_travel_between_processes_without_their_bank(bank: InjectionBank, tmp_path: Path) -> None:
    whole = Injection(bank, 1, 2, (1, 2), 80)
    assert pickle.loads(pickle.dumps(whole)) == whole
    bank.write(tmp_path / "bank.npz")
    task = replace(whole, bank=InjectionBank.read(tmp_path / "bank.npz"))
    text = pickle.dumps(task)
    assert len(text) < 500 and pickle.loads(text) == task
    other = replace(bank, kernels=bank.kernels[::-1])
    stale = pickle.dumps(replace(task, bank=replace(other, path=tmp_path / "bank.npz")))
    with pytest.raises(InputError, match="has been changed"):
        pickle.loads(stale)


def test_files_that_are_no_banks_are_refused(bank: InjectionBank, tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    with pytest.raises(InputError, match="no such file; make one with blindsr fit-degradations"):
        InjectionBank.read(path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"not an \.npz file"):
        InjectionBank.read(path)
    np.savez(path, kernels=bank.kernels)
    with pytest.raises(InputError, match="no bank of degradations: it has no scale"):
        InjectionBank.read(path)
    bank.write(path)
    with np.load(path) as content:
        values = dict(content)
    np.savez(path, **{**values, "kernels": values["kernels"] * 2})
    with pytest.raises(InputError, match="damaged: a bank's kernels must be finite and sum to 1"):
        InjectionBank.read(path)
    np.savez(path, **{**values, "photos": np.array([{}])})
    with pytest.raises(InputError, match=r"not an \.npz file"):  # it would have to be unpickled
        InjectionBank.read(path)
    with pytest.raises(InputError, match=r"name it such as bank\.npz"):
        bank.write(tmp_path / "bank.bin")
    with pytest.raises(InputError, match="no such folder"):
        bank.write(tmp_path / "none" / "bank.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": 0}, "scale must be 1 or more"),
        ({"scale": 3}, "k odd as its scale 3"),
        ({"scale": 8}, "leave gaps"),
        ({"kernels": np.zeros((0, 6, 6), np.float32)}, "square kernels"),
        ({"noise": np.zeros((3, 1, 8, 8), np.float16)}, r"noise must be (P, 3, d, d)"),
        ({"noise": np.full((3, 3, 8, 8), np.nan, np.float16)}, "finite"),
        ({"photos": ("one",)}, "name a photo for each kernel"),
        ({"noise_photos": np.zeros(2, int)}, "name a photo for each noise patch"),
    ],
)
def test_impossible_banks_are_refused(bank: InjectionBank, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        replace(bank, **changes)
    assert message in str(caught.value)


def test_space_draws_all_there_is(bank: InjectionBank) -> None:
    space = InjectionSpace(bank, noise_probability=0.5, jpeg_probability=0.5, jpeg=(80, 82))
    assert space.scale == 2
    rng = np.random.default_rng(0)
    tasks = [space.sample(rng) for _ in range(400)]
    assert {task.kernel for task in tasks} == {0, 1}
    assert {task.noise for task in tasks} == {None, 0, 1, 2}
    assert {task.jpeg for task in tasks} == {None, 80, 81, 82}
    assert {task.offset[0] for task in tasks if task.noise is not None} == set(range(8))
    assert sum(task.noise is None for task in tasks) == pytest.approx(200, abs=35)
    assert [space.sample(np.random.default_rng(3))] == [space.sample(np.random.default_rng(3))]
    silent = InjectionSpace(replace(bank, noise=bank.noise[:0], noise_photos=bank.noise_photos[:0]))
    assert silent.sample(rng).noise is None


def test_a_configuration_names_the_file(bank: InjectionBank, tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    bank.write(path)
    space = read_space({"kind": "injection", "bank": str(path), "jpeg_probability": 0.5, "jpeg": [70, 90]})
    assert space == InjectionSpace(bank, jpeg_probability=0.5, jpeg=(70, 90))
    assert InjectionSpace.from_dict(json.loads(json.dumps(space.as_dict()))) == space
    assert replace(space, scale=2).sample(np.random.default_rng(0)).scale == 2
    with pytest.raises(InputError, match=r"bank.npz: this bank is for scale 2, not 4: .* --scale 4"):
        replace(space, scale=4).sample(np.random.default_rng(0))
    mixed = replace(read_space(["real", {"kind": "injection", "bank": str(path)}]), scale=2)
    assert isinstance(mixed, MixedSpace)
    rng = np.random.default_rng(0)
    assert {type(mixed.sample(rng)).__name__ for _ in range(20)} == {"Degradation", "Injection"}
    with pytest.raises(InputError, match="no path"):
        InjectionSpace(bank).as_dict()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "bank is missing"),
        ({"bnak": "a.npz"}, "did you mean 'bank'"),
        ({"bank": 3}, "bank must be the path"),
        ({"bank": "none.npz"}, "none.npz: no such file"),
    ],
)
def test_impossible_spaces_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        InjectionSpace.from_dict(values)
    assert message in str(caught.value)


def test_ranges_of_a_space_are_checked(bank: InjectionBank) -> None:
    for changes, message in (
        ({"jpeg": (0, 90)}, "quality from 1 to 100"),
        ({"jpeg": (90, 80)}, "jpeg must be a range"),
        ({"noise_probability": 1.5}, "must lie in"),
    ):
        with pytest.raises(InputError, match=message):
            InjectionSpace(bank, **changes)  # type: ignore[arg-type]


def test_task_as_dictionary_and_text(bank: InjectionBank) -> None:
    task = Injection(bank, 1, 2, (3, 4), 75)
    assert Injection.from_dict(json.loads(json.dumps(task.as_dict())), bank) == task
    assert str(task) == f"kernel 1 to 1/2 noise 2@3,4 jpeg 75 (bank {bank.digest})"
    assert str(Injection(bank)) == f"kernel 0 to 1/2 (bank {bank.digest})"
    with pytest.raises(InputError, match="it is of the bank"):
        Injection.from_dict(task.as_dict(), replace(bank, kernels=bank.kernels[::-1]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": 2}, "kernels 0 to 1, not 2"),
        ({"noise": 3}, "3 noise patches, no 3"),
        ({"noise": 1.0}, "whole number"),
        ({"offset": (1,)}, "offset must be a row and a column"),
        ({"offset": (-1, 0)}, "offset must be a row and a column"),
        ({"jpeg": 101}, "quality from 1 to 100"),
    ],
)
def test_impossible_tasks_are_refused(bank: InjectionBank, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Injection(bank, **changes)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_builder_takes_kernel_and_noise_of_each_photo(scene: NDArray[np.float32]) -> None:
    builder = BankBuilder(2, most=4)
    with pytest.raises(InputError, match="no photo tells"):
        builder.bank()
    with pytest.raises(InputError, match="48x48"):
        builder.add("tiny.png", wall(2.0)[:30])
    found = builder.add("leaves.png", scene[:256, :256])
    half = np.concatenate([scene[:192, :192].repeat(3, 2), wall(2.0, side=192)], axis=1)
    builder.add("wall.png", half)
    bank = builder.bank()
    assert bank.photos == ("leaves.png", "wall.png") and bank.kernels.shape == (2, 16, 16)
    np.testing.assert_allclose(bank.kernels[0], found.kernel, atol=1e-6)
    assert len(bank.noise) == 4 and (bank.noise_photos == 1).all()
