"""LPIPS: against a second implementation, against published values, and what it refuses."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from blindsr.errors import InputError, MissingExtraError, ModelError
from blindsr.metrics import LPIPSNetwork, installed_network, lpips, read_squeeze

from .conftest import FIRES, SHARED, random_features, random_heads

Array = NDArray[np.float64]


@pytest.fixture
def pair() -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    levels = rng.integers(0, 256, (2, 37, 45, 3)) / 255
    return levels[0], levels[1]


def convolve(x: Array, weight: Array, bias: Array, stride: int = 1, padding: int = 0) -> Array:
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(x, weight.shape[2:], (1, 2))[:, ::stride, ::stride]
    return np.asarray(np.einsum("chwij,ocij->ohw", windows, weight) + bias[:, None, None])


def pool(x: Array) -> Array:
    """Maximum over 3x3 at every second pixel; a window that begins inside counts as far as it goes."""
    sides = [1 + -(-(n - 3) // 2) for n in x.shape[1:]]
    rows = [x[:, 2 * i : 2 * i + 3] for i in range(sides[0])]
    return np.stack(
        [np.stack([row[:, :, 2 * j : 2 * j + 3].max((1, 2)) for j in range(sides[1])], 1) for row in rows], 1
    )


def reference(a: Array, b: Array) -> float:
    """The paper's formula in NumPy, double precision: sum over layers of the weighted squared distances."""
    weights = {name: values.astype(float) for name, values in random_features().items()}
    heads = [head.numpy().astype(float).reshape(-1, 1, 1) for head in random_heads().values()]

    def layers(picture: Array) -> list[Array]:
        x = 2 * picture.transpose(2, 0, 1) - 1
        x = (x - np.reshape([-0.030, -0.088, -0.188], (3, 1, 1))) / np.reshape(
            [0.458, 0.448, 0.450], (3, 1, 1)
        )
        x = np.maximum(convolve(x, weights["features.0.weight"], weights["features.0.bias"], stride=2), 0)
        found = [x]
        for number in FIRES:
            if number in (3, 6, 9):
                x = pool(x)
            parts = {
                part: tuple(weights[f"features.{number}.{part}.{kind}"] for kind in ("weight", "bias"))
                for part in ("squeeze", "expand1x1", "expand3x3")
            }
            x = np.maximum(convolve(x, *parts["squeeze"]), 0)
            one, three = convolve(x, *parts["expand1x1"]), convolve(x, *parts["expand3x3"], padding=1)  # type: ignore[misc]
            x = np.maximum(np.concatenate([one, three]), 0)
            if number not in (3, 6):
                found.append(x)
        return found

    total = 0.0
    for x, y, head in zip(layers(a), layers(b), heads, strict=True):
        unit_x, unit_y = (z / (np.sqrt((z**2).sum(0)) + 1e-10) for z in (x, y))
        total += float((head * (unit_x - unit_y) ** 2).sum(0).mean())
    return total


def test_against_a_second_implementation(squeeze: LPIPSNetwork, pair: tuple[Array, Array]) -> None:
    a, b = pair
    assert lpips(a, b, network=squeeze) == pytest.approx(reference(a, b), rel=1e-5)
    nearly = np.clip(np.round(a * 255) + np.indices(a.shape).sum(0) % 2, 0, 255) / 255
    assert lpips(nearly, a, network=squeeze) == pytest.approx(reference(nearly, a), rel=1e-4)


def test_a_batch_is_measured_one_by_one(squeeze: LPIPSNetwork) -> None:
    x, y = (2 * torch.rand(3, 3, 40, 33, generator=torch.Generator().manual_seed(i)) - 1 for i in (0, 1))
    together = squeeze.distances(x, y)
    assert together.shape == (3,)
    alone = [float(squeeze.distances(x[i : i + 1], y[i : i + 1])) for i in range(3)]
    assert together.tolist() == pytest.approx(alone, rel=1e-6)


def test_gray_is_three_equal_colours(squeeze: LPIPSNetwork, pair: tuple[Array, Array]) -> None:
    a, b = (picture[:, :, :1] for picture in pair)
    in_colour = lpips(np.repeat(a, 3, axis=2), np.repeat(b, 3, axis=2), network=squeeze)
    assert lpips(a, b, network=squeeze) == in_colour


def test_the_smallest_picture(squeeze: LPIPSNetwork) -> None:
    picture = np.random.default_rng(0).random((19, 25, 3))
    assert lpips(picture, 1 - picture, network=squeeze, border=1) > 0
    with pytest.raises(InputError, match=r"squeeze needs at least 17 pixels each way .* 21x15"):
        lpips(picture, picture, network=squeeze, border=2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_measures_the_same(
    squeeze_files: tuple[Path, Path], squeeze: LPIPSNetwork, pair: tuple[Array, Array]
) -> None:
    there = read_squeeze(*squeeze_files, device="cuda")
    assert lpips(*pair, network=there) == pytest.approx(lpips(*pair, network=squeeze), rel=1e-4)


def test_kinds_of_files(tmp_path: Path, squeeze: LPIPSNetwork, pair: tuple[Array, Array]) -> None:
    from safetensors.torch import save_file

    features = {name: torch.from_numpy(values) for name, values in random_features().items()}
    torch.save(features, tmp_path / "features.pth")
    save_file(random_heads(), tmp_path / "heads.safetensors")
    network = read_squeeze(tmp_path / "features.pth", tmp_path / "heads.safetensors")
    assert lpips(*pair, network=network) == lpips(*pair, network=squeeze)


def test_files_that_are_not_the_weights(tmp_path: Path, squeeze_files: tuple[Path, Path]) -> None:
    features, heads = squeeze_files
    weights = random_features()
    short = {name: values for name, values in weights.items() if name != "features.12.squeeze.bias"}
    np.savez(tmp_path / "short.npz", **short)
    np.savez(tmp_path / "other.npz", **{**weights, "features.0.weight": np.zeros((64, 3, 7, 7), np.float16)})
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    (tmp_path / "cut.npz").write_bytes(features.read_bytes()[:5000])
    (tmp_path / "cut.safetensors").write_bytes(b"1234")
    for file, words in (
        (
            "short.npz",
            r"short\.npz: not the features of SqueezeNet 1\.1: features\.12\.squeeze\.bias.*is missing",
        ),
        ("other.npz", r"features\.0\.weight, to be \(64, 3, 3, 3\), has \(64, 3, 7, 7\)"),
        ("array.npz", r"array\.npz: not a whole \.npz file"),
        ("cut.npz", r"cut\.npz: not a whole \.npz file"),
        ("cut.safetensors", r"cut\.safetensors: not a whole \.safetensors file"),
        ("none.npz", r"none\.npz: no such file"),
        ("none.pth", r"none\.pth: no such file"),
        ("none.safetensors", r"none\.safetensors: no such file"),
    ):
        with pytest.raises(ModelError, match=words):
            read_squeeze(tmp_path / file, heads)
    with pytest.raises(ModelError, match=r"not the linear weights of LPIPS on SqueezeNet: lin0\.model"):
        read_squeeze(features, features)


def test_published_values() -> None:
    """Of two seeded pairs in torchmetrics' documentation, and the order of the authors' example."""
    if not SHARED.is_dir():
        pytest.skip("the trained SqueezeNet is not beside the repository (../shared/metrics)")
    network = read_squeeze(SHARED / "squeezenet1_1_fp16.npz", SHARED / "lpips_v0.1_squeeze_lin.pth")
    generator = torch.Generator().manual_seed(42)
    x, y = (2 * torch.rand(2, 3, 100, 100, generator=generator) - 1 for _ in range(2))
    assert network.distances(x, y).tolist() == pytest.approx([0.1024, 0.0938], abs=5e-5)
    truth, blurred, shifted = (
        np.asarray(Image.open(SHARED / f"ex_{name}.png"), np.float64) / 255 for name in ("ref", "p0", "p1")
    )
    assert lpips(blurred, truth, network=network) == pytest.approx(0.7112, abs=5e-5)
    assert lpips(shifted, truth, network=network) == pytest.approx(0.1479, abs=5e-5)


def test_the_installed_package(monkeypatch: pytest.MonkeyPatch, pair: tuple[Array, Array]) -> None:
    """A stand-in with the package's interface: [-1, 1] comes in, (N, 1, 1, 1) goes out."""

    class LPIPS(torch.nn.Module):
        def __init__(self, net: str, version: str, verbose: bool) -> None:
            super().__init__()
            assert (net, version, verbose) == ("alex", "0.1", False)

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            assert not self.training
            assert x.dtype == torch.float32
            assert (float(x.min()), float(x.max())) == (-1, 1)
            return (x - y).abs().mean(dim=(1, 2, 3), keepdim=True)

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=LPIPS))
    network = installed_network("alex")
    a, b = pair
    a[0, 0], a[0, 1] = 0, 1
    assert lpips(a, b, network=network) == pytest.approx(2 * np.abs(a - b).mean(), rel=1e-5)
    with pytest.raises(InputError, match="alex needs at least 31 pixels"):
        lpips(a, b, network=network, border=5)
    with pytest.raises(InputError, match='"alex", "vgg" and "squeeze"'):
        installed_network("resnet")  # type: ignore[arg-type]


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(MissingExtraError, match=r'LPIPS on vgg .* pip install "blindsr\[lpips\]"'):
        installed_network("vgg")
    monkeypatch.delitem(sys.modules, "lpips")
    (tmp_path / "lpips.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match="installed and does not start: operator torchvision::nms"):
        installed_network("vgg")
