"""Cria-CL's network: size, views, receptive field, and the layouts in which its weights and ESRGAN's come."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blindsr.checkpoint.esrgan import initialise_trunk
from blindsr.checkpoint.reading import FORMAT, load_network, network_of
from blindsr.errors import ConfigError, ModelError
from blindsr.network import Cria, build_network
from blindsr.network.views import texture_share

REFERENCE = Path(__file__).parents[2] / ".." / "shared" / "reference"

TINY: dict[str, Any] = {"channels": 6, "blocks": 1, "growth": 3, "projector": 4, "projector_blocks": 2}
COMPACT = TINY | {"tail": "direct", "carry": 2, "skip": True, "mask": "views"}
VARIANTS = [
    TINY | {"scale": 4},
    TINY | {"scale": 1},
    TINY | {"scale": 2, "projector": 0},
    COMPACT | {"scale": 4},
    COMPACT | {"scale": 2, "unshuffle": 2},
    COMPACT | {"scale": 1, "unshuffle": 4},
    COMPACT | {"scale": 4, "lattice_filter": 3},
]

OFFICIAL = {
    "trunk.first": "conv_first", "trunk.last": "trunk_conv", "tail.up.0": "upconv1", "tail.up.1": "upconv2",
    "tail.hr": "HRconv", "tail.last": "conv_last", "projector.structure_out": "tail_conv1",
    "projector.texture_out": "tail_conv2",
}  # fmt: skip
BASICSR = {
    "trunk.first": "conv_first", "trunk.last": "conv_body", "tail.up.0": "conv_up1",
    "tail.up.1": "conv_up2", "tail.hr": "conv_hr", "tail.last": "conv_last",
}  # fmt: skip
NUMBERED = {
    "trunk.first": "model.0", "trunk.last": "model.1.sub.1", "tail.up.0": "model.3", "tail.up.1": "model.6",
    "tail.hr": "model.8", "tail.last": "model.10",
}  # fmt: skip


def make(spec: dict[str, Any]) -> Cria:
    torch.manual_seed(0)
    network = build_network({"cria": spec})
    assert isinstance(network, Cria)
    return network.eval()


def written(network: Cria, layers: dict[str, str], block: str) -> dict[str, torch.Tensor]:
    """Weights under others' names; `block` writes one of a dense block: {i}, {j} and {k} are its numbers."""
    state = {}
    for key, tensor in network.state_dict().items():
        layer, _, kind = key.rpartition(".")
        if m := re.fullmatch(r"trunk\.blocks\.(\d+)\.dense\.(\d)\.convs\.(\d)", layer):
            layer = block.format(i=m[1], j=int(m[2]) + 1, k=int(m[3]) + 1)
        elif m := re.fullmatch(r"projector\.(structure|texture|mask)\.(\d)\.(conv1|conv2|skip)", layer):
            branch = {"structure": "branch1", "texture": "branch2", "mask": "sm"}[m[1]]
            layer = f"{branch}.{m[2]}.{ {'conv1': 'block.0', 'conv2': 'block.2', 'skip': 'conv'}[m[3]] }"
        else:
            layer = layers[layer]
        state[f"{layer}.{kind}"] = tensor
    return state


def test_the_published_network_has_the_published_size() -> None:
    assert sum(p.numel() for p in make({}).parameters()) == 17_286_473


@pytest.mark.parametrize("spec", VARIANTS, ids=str)
def test_output_is_both_views_and_texture_moves_between_them(spec: dict[str, Any]) -> None:
    network, scale = make(spec), spec["scale"]
    lr = torch.rand(2, 3, 8, 12)
    with torch.no_grad():
        views = network.views(lr)
        assert views.output.shape == (2, 3, 8 * scale, 12 * scale)
        torch.testing.assert_close(network(lr), views.output, rtol=0, atol=1e-6)
        assert network.texture == (views.texture is not None) == (spec["projector"] > 0)
        if views.texture is None or views.mask is None:
            return
        assert torch.equal(network(lr, torch.tensor([0.0])), views.structure)
        half = network(lr, torch.tensor([0.5, 1.0]))  # one a photo
        if "lattice_filter" not in spec:  # of two views it takes out nearly, not just, what it does of each
            torch.testing.assert_close(half[0], views.structure[0] + views.texture[0] / 2)
        torch.testing.assert_close(half[1], views.output[1], rtol=0, atol=1e-6)
        assert float(views.texture.abs().mean()) > 0
        channels = 1 if spec.get("mask") == "views" else spec["projector"]
        assert views.mask.shape == (2, channels, 8 * scale, 12 * scale)
        assert float(views.mask.min()) >= 0 and float(views.mask.max()) <= 1


def test_the_texture_views_share_of_a_place() -> None:
    lr = torch.rand(2, 3, 12, 12)
    with torch.no_grad():
        views = make(TINY | {"scale": 2}).views(lr)
    assert views.share is not None and views.mask is not None
    constant = 1 - views.mask.mean(1, keepdim=True)  # what the published mask cannot tell
    torch.testing.assert_close(constant, torch.full_like(constant, 3 / 4))
    assert views.share.shape == constant.shape
    assert float(views.share.std() / views.share.mean()) > 0.01  # of random weights
    assert float(views.share.min()) > 0 and float(views.share.max()) < 1
    for spec in (COMPACT | {"scale": 2}, COMPACT | {"scale": 4, "lattice_filter": 3}):
        with torch.no_grad():
            views = make(spec).views(lr)
        assert views.share is not None and views.mask is not None
        assert torch.equal(views.share, 1 - views.mask)
    assert make(TINY | {"scale": 2, "projector": 0}).views(lr).share is None


def test_a_share_follows_what_passes_the_mask() -> None:
    mask = torch.softmax(torch.randn(1, 5, 4, 4), 1)
    b1, b2 = torch.randn(1, 5, 4, 4), torch.randn(1, 5, 4, 4)
    share = texture_share(mask, mask * b1, (1 - mask) * b2)
    assert torch.equal(texture_share(mask, -mask * b1, (1 - mask) * b2), share)
    assert bool((texture_share(mask, mask * b1, 3 * (1 - mask) * b2) > share).all())
    nothing = torch.zeros_like(b1)
    assert float(texture_share(mask, nothing, (1 - mask) * b2).min()) == 1
    assert float(texture_share(mask, nothing, nothing).max()) == 0  # neither: finite
    one = torch.ones(1, 1, 4, 4)  # a softmax over one channel
    assert float(texture_share(one, one, one - one).max()) == 0


@pytest.mark.parametrize("spec", VARIANTS, ids=str)
def test_halo_is_the_receptive_radius(spec: dict[str, Any]) -> None:
    """Nothing beyond the halo reaches an LR pixel's SR pixels, and the halo is not wasteful."""
    network, scale, multiple = make(spec).double(), spec["scale"], spec.get("unshuffle", 1)
    halo = network.halo
    side = (2 * halo + 9) // multiple * multiple
    for centre in range(side // 2, side // 2 + multiple):
        lr = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
        block = network(lr)[..., centre * scale : (centre + 1) * scale, centre * scale : (centre + 1) * scale]
        (gradient,) = torch.autograd.grad(block.square().sum(), lr)
        rows = gradient.abs().amax((0, 1, 3)).nonzero().flatten()
        reach = int((rows - centre).abs().max())
        assert reach <= halo
        assert halo - reach <= 2 * multiple


def test_with_a_skip_it_starts_near_the_enlarged_input() -> None:
    lr = torch.rand(1, 3, 16, 16) * 0.5 + 0.25
    for spec in VARIANTS[3:]:
        scale = float(spec["scale"])
        enlarged = torch.nn.functional.interpolate(lr, scale_factor=scale, mode="bicubic")
        with torch.no_grad():
            assert float((make(spec).views(lr).structure - enlarged).abs().mean()) < 0.05


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="../shared/reference is not there")
def test_official_oracle() -> None:
    network, spec = load_network(REFERENCE / "ccl_x4_nb1.pth")
    assert spec["cria"] == {
        "scale": 4, "channels": 64, "blocks": 1, "growth": 32, "projector": 64, "projector_blocks": 3,
    }  # fmt: skip
    oracle = np.load(REFERENCE / "ccl_x4_nb1.npz")
    with torch.no_grad():
        output = network(torch.from_numpy(oracle["image"])).numpy()
    assert np.abs(output - oracle["output"]).max() <= 1e-4 * np.abs(oracle["output"]).max()


@pytest.mark.parametrize(
    ("layers", "block", "wrapper"),
    [
        (OFFICIAL, "RRDB_trunk.{i}.RDB{j}.conv{k}", None),
        (BASICSR, "body.{i}.rdb{j}.conv{k}", "params_ema"),
        (NUMBERED, "model.1.sub.{i}.RDB{j}.conv{k}.0", None),
    ],
)
def test_names_of_others_give_the_same_network(
    tmp_path: Path, layers: dict[str, str], block: str, wrapper: str | None
) -> None:
    spec = {"scale": 4, "channels": 6, "blocks": 1, "growth": 3, "projector": 0}
    if layers is OFFICIAL:
        spec |= {"projector": 5, "projector_blocks": 2}
    network = make(spec)
    state: dict[str, Any] = written(network, layers, block)
    torch.save({wrapper: state} if wrapper else state, tmp_path / "theirs.pth")
    loaded, found = load_network(tmp_path / "theirs.pth")
    assert found == {"cria": spec}
    lr = torch.rand(1, 3, 7, 5)
    assert torch.equal(network(lr), loaded(lr))


def test_the_scale_of_an_official_file_can_be_said(tmp_path: Path) -> None:
    network = make(TINY | {"scale": 1})
    state = written(network, OFFICIAL, "RRDB_trunk.{i}.RDB{j}.conv{k}")
    loaded, found = network_of(state, tmp_path, scale=1)
    assert found["cria"]["scale"] == 1
    lr = torch.rand(1, 3, 7, 5)
    assert torch.equal(network(lr), loaded(lr))
    ours = {"format": FORMAT, "network": {"cria": TINY | {"scale": 1}}, "state": network.state_dict()}
    with pytest.raises(ModelError, match="a network for x1, not x4"):
        network_of(ours, tmp_path, scale=4)


def test_an_incomplete_or_foreign_file_is_refused(tmp_path: Path) -> None:
    state = written(make(VARIANTS[0]), OFFICIAL, "RRDB_trunk.{i}.RDB{j}.conv{k}")
    for name, changed, message in (
        ("less", {k: v for k, v in state.items() if k != "HRconv.weight"}, "do not fit"),
        ("none", {k: v for k, v in state.items() if not k.startswith("conv_first")}, "parts missing"),
        ("more", state | {"attention.weight": torch.zeros(1)}, "unknown weight 'attention.weight'"),
    ):
        torch.save(changed, tmp_path / f"{name}.pth")
        with pytest.raises(ModelError, match=message):
            load_network(tmp_path / f"{name}.pth")


def test_a_trunk_starts_from_esrgan_and_the_projector_from_itself() -> None:
    esrgan = make({"channels": 6, "blocks": 1, "growth": 3, "projector": 0})
    torch.manual_seed(1)
    network = build_network({"cria": TINY})
    assert isinstance(network, Cria)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    initialise_trunk(network, esrgan.state_dict())
    for key, tensor in network.state_dict().items():
        wanted = before if key.startswith("projector") else esrgan.state_dict()
        assert torch.equal(tensor, wanted[key]), key
    direct = make(COMPACT)
    tail = direct.state_dict()["tail.0.weight"].clone()
    initialise_trunk(direct, esrgan.state_dict())
    assert torch.equal(direct.state_dict()["trunk.first.weight"], esrgan.state_dict()["trunk.first.weight"])
    assert torch.equal(direct.state_dict()["tail.0.weight"], tail)
    with pytest.raises(ValueError, match=r"trunk\.first\.weight should be"):
        initialise_trunk(make(TINY | {"channels": 8}), esrgan.state_dict())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"chanels": 3}, "did you mean 'channels'"),
        ({"scale": 3}, "cria.scale"),
        ({"scale": 4, "unshuffle": 2}, "unshuffle"),
        ({"mask": "view"}, "cria.mask"),
        ({"carry": 2}, "direct tail"),
        ({"projector_blocks": 0}, "projector_blocks"),
    ],
)
def test_a_wrong_specification_is_named(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_network({"cria": spec})
