"""Degradation by what real photos have: kernels estimated from them and noise cut out of them.

The way of Ji et al. (2020, "Real-World Super-Resolution via Kernel Estimation and Noise Injection", CVPR
Workshops), who won the NTIRE 2020 challenge on real-world super-resolution: an HR photo is blurred by a
kernel of a pool, shrunk, and noise of a pool is laid over it, so that training sees what the user's own
photos look like.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.degradation.backend import Array, check_batch, constant, correlate, full_precision, take
from blindsr.degradation.blur import reflect
from blindsr.degradation.jpeg import jpeg
from blindsr.degradation.kernel_estimation import KernelEstimate, estimate_kernel
from blindsr.degradation.validation import check_keys, check_number, check_ranges
from blindsr.errors import InputError
from blindsr.system.files import atomic_path, check_npz
from blindsr.system.npz import NPZ_FAULTS, read_npz
from blindsr.system.untrusted import brief

#: Side of a noise patch and of the smaller ones that must resemble it, in pixels.
PATCH, _PART = 48, 24
# How much the means and variances of the smaller ones may differ from the patch's (section 3.1 of the paper).
_MEAN_TOLERANCE, _VARIANCE_TOLERANCE = 0.1, 0.25
# Beyond the paper: what shading is left moves a part's mean by more than this part of the deviation, and the
# slopes of a texture have one direction, by this coherence, which noise has not.
_SHADING, _COHERENCE = 0.35, 0.3
# Smooth means: no more variance than this, in levels^2 (as the authors chose), or in a noisy photo than this
# factor of the noise's own.
_VARIANCE, _NOISE_FACTOR = 20.0, 2.5
# Noise is cut off where values end: no more than this share of a patch may be all but black or white.
_CLIPPED = 0.05


def noise_patches(photo: NDArray[np.floating], noise: float = 0.0, most: int = 32) -> NDArray[np.float16]:
    """Cut noise out of the smooth parts of a photo.

    A patch is smooth if it varies little and in no direction above others, and if its parts all have its mean
    and its variance: then what varies is noise. Its mean is taken off first, with the slope and the bend that
    light gives to walls and to the sky.

    Args:
        photo: (H, W, 3) or (H, W, 1), RGB or gray in [0, 1].
        noise: standard deviation of the photo's noise in levels of 255, as far as it is known (see
            `estimate_kernel`): in a noisy photo, patches may vary more.
        most: so many patches at most, from all over the photo.

    Returns:
        Patches, (P, 3, PATCH, PATCH), differences from 0 for values in [0, 1]; P may be 0.

    Raises:
        InputError: the photo is malformed.
    """
    if photo.ndim != 3 or photo.shape[2] not in (1, 3):
        raise InputError(f"a photo must be (H, W, 3) or (H, W, 1), this is {photo.shape}")
    limit = max(_VARIANCE, _NOISE_FACTOR * noise**2)
    height, width = photo.shape[:2]
    found = []
    for top in range(0, height - PATCH + 1, PATCH // 2):
        for left in range(0, width - PATCH + 1, PATCH // 2):
            patch = photo[top : top + PATCH, left : left + PATCH].transpose(2, 0, 1).astype(np.float64)
            if _is_open(patch):
                rest = _level(patch)
                if _is_smooth(rest * 255, float(patch.mean()) * 255, limit):
                    found.append(rest)
    chosen = found
    if len(found) > most:
        chosen = [found[i] for i in np.linspace(0, len(found) - 1, most).astype(int)]
    patches = np.empty((len(chosen), 3, PATCH, PATCH), np.float16)
    for target, rest in zip(patches, chosen, strict=True):
        target[...] = rest  # a gray photo's goes to all channels
    return patches


def _surfaces() -> NDArray[np.float64]:
    """Return an orthonormal basis of the surfaces of second order on a patch, (PATCH^2, 6)."""
    y, x = np.mgrid[-1 : 1 : PATCH * 1j, -1 : 1 : PATCH * 1j].reshape(2, -1)
    return np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))[0]


_SURFACES = _surfaces()


def _level(patch: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the mean, the slope and the bend off every channel of (C, PATCH, PATCH)."""
    flat = patch.reshape(len(patch), -1)
    return np.asarray((flat - flat @ _SURFACES @ _SURFACES.T).reshape(patch.shape))


def _is_smooth(rest: NDArray[np.float64], mean: float, limit: float) -> bool:
    """Tell whether a levelled patch of this mean, in levels of 255, varies little, and everywhere alike."""
    gray = rest.mean(axis=0)
    variance = gray.var()
    if not 1e-3 < variance <= limit:  # without any noise it was painted, not photographed
        return False
    means = _parts(rest).mean(axis=(-2, -1))  # of each channel: a blot of colour may have the same gray
    shading = np.abs(means).max(axis=(1, 2)) / rest.std(axis=(1, 2))
    variances = _parts(gray).var(axis=(-2, -1))
    # Differences across the pixel between: of neighbours, both would share one, and white noise a direction.
    down, across = gray[2:, 1:-1] - gray[:-2, 1:-1], gray[1:-1, 2:] - gray[1:-1, :-2]
    xx, yy, xy = (across**2).mean(), (down**2).mean(), (across * down).mean()
    coherence = math.hypot(xx - yy, 2 * xy) / (xx + yy)  # of the structure tensor: 0 to 1
    return bool(
        coherence <= _COHERENCE
        and (shading <= _SHADING).all()
        and (np.abs(means.mean(axis=0)) <= _MEAN_TOLERANCE * mean).all()
        and (np.abs(variances - variance) <= _VARIANCE_TOLERANCE * variance).all()
    )


def _parts(planes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the half-overlapping parts of (..., PATCH, PATCH): (..., rows, columns, _PART, _PART)."""
    windows = np.lib.stride_tricks.sliding_window_view(planes, (_PART, _PART), axis=(-2, -1))
    return windows[..., :: _PART // 2, :: _PART // 2, :, :]


def _is_open(patch: NDArray[np.float64]) -> bool:
    """Tell whether hardly any value lies at the end of the range."""
    return float(((patch < 1.5 / 255) | (patch > 253.5 / 255)).mean()) <= _CLIPPED


@dataclasses.dataclass(frozen=True, eq=False)
class InjectionBank:
    """A pool of kernels and of noise, and the photos that they are from.

    Args:
        scale: HR side / LR side for which the kernels are.
        kernels: (K, k, k), at least one, each of sum 1; k has the parity of the scale.
        noise: (P, 3, d, d), differences from 0 for values in [0, 1]; P may be 0.
        photos: names of the photos.
        kernel_photos: which photo each kernel is from, (K,).
        noise_photos: which photo each noise patch is from, (P,).
        path: the file that it was read from.

    Raises:
        InputError: a shape or a value is none of these.
    """

    scale: int
    kernels: NDArray[np.float32]
    noise: NDArray[np.float16]
    photos: tuple[str, ...]
    kernel_photos: NDArray[np.int32]
    noise_photos: NDArray[np.int32]
    path: Path | None = None

    def __post_init__(self) -> None:
        kernels, noise = self.kernels, self.noise
        if self.scale < 1:
            raise InputError(f"a bank's scale must be 1 or more, got {self.scale}")
        square = kernels.ndim == 3 and kernels.shape[1] == kernels.shape[2]
        if not (square and len(kernels) and kernels.shape[1] % 2 == self.scale % 2):
            raise InputError(
                f"a bank has square kernels (K, k, k), k {'odd' if self.scale % 2 else 'even'} as its scale "
                f"{self.scale}; these are {kernels.shape}"
            )
        if kernels.shape[1] < self.scale:
            raise InputError(
                f"kernels of {kernels.shape[1]} pixels leave gaps when shrinking by {self.scale}"
            )
        if not (np.isfinite(kernels).all() and np.allclose(kernels.sum(axis=(1, 2)), 1, atol=1e-3)):
            raise InputError("a bank's kernels must be finite and sum to 1")
        if noise.ndim != 4 or noise.shape[1] != 3 or noise.shape[2] != noise.shape[3] or noise.shape[2] < 2:
            raise InputError(f"a bank's noise must be (P, 3, d, d), this is {noise.shape}")
        if not (np.isfinite(noise).all() and (np.abs(noise) <= 1).all()):
            raise InputError("a bank's noise must be finite and lie in [-1, 1]")
        for what, places, count in (
            ("kernel", self.kernel_photos, len(kernels)),
            ("noise patch", self.noise_photos, len(noise)),
        ):
            known = places.shape == (count,) and ((places >= 0) & (places < len(self.photos))).all()
            if not known:
                raise InputError(f"a bank must name a photo for each {what}")

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that tell this bank from others."""
        digest = hashlib.blake2b(f"{self.scale}".encode(), digest_size=8)
        for array in (self.kernels, self.noise):
            digest.update(f"{array.shape}{array.dtype}".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InjectionBank) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Callable[..., InjectionBank], tuple[Any, ...]]:
        # Tasks go from the processes that draw them to the one that trains: without a bank that is a file.
        if self.path is not None:
            return _reread, (self.path, self.digest)
        values = (getattr(self, field.name) for field in dataclasses.fields(self))
        return type(self), tuple(values)

    @classmethod
    def read(cls, path: Path) -> InjectionBank:
        """Read a bank that `write` made.

        Args:
            path: an .npz file.

        Raises:
            InputError: the file is missing, damaged, or something else.
        """
        try:
            content = read_npz(path)
            bank = cls(
                int(content["scale"]),
                np.asarray(content["kernels"], np.float32),
                np.asarray(content["noise"], np.float16),
                tuple(str(name) for name in np.atleast_1d(content["photos"])),
                np.asarray(content["kernel_photos"], np.int32),
                np.asarray(content["noise_photos"], np.int32),
                path.absolute(),
            )
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; make one with blindsr fit-degradations") from None
        except KeyError as error:
            raise InputError(f"{path}: no bank of degradations: it has no {error.args[0]}") from None
        except InputError as error:
            raise InputError(f"{path}: damaged: {error}") from None
        except NPZ_FAULTS as error:
            raise InputError(f"{path}: not an .npz file of degradations ({brief(error)})") from None
        return bank

    def write(self, path: Path) -> None:
        """Write the bank.

        Args:
            path: an .npz file; it appears whole or not at all.

        Raises:
            InputError: the file's name does not end in .npz, or it cannot be written.
        """
        check_bank_path(path)
        try:
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(
                    file,
                    scale=np.int64(self.scale),
                    kernels=self.kernels,
                    noise=self.noise,
                    photos=np.array(self.photos, dtype=np.str_),
                    kernel_photos=self.kernel_photos,
                    noise_photos=self.noise_photos,
                )
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from None


class BankBuilder:
    """Makes a bank, photo by photo.

    Args:
        scale: HR side / LR side.
        most: noise patches from one photo, at most.
    """

    def __init__(self, scale: int, most: int = 32) -> None:
        self.scale, self.most = scale, most
        self._photos: list[str] = []
        self._kernels: list[NDArray[np.float64]] = []
        self._noise: list[NDArray[np.float16]] = []

    def add(self, name: str, photo: NDArray[np.floating]) -> KernelEstimate:
        """Take a photo's kernel and its noise, where it has smooth parts.

        Args:
            name: what the bank is to call it.
            photo: (H, W, 3) or (H, W, 1), RGB or gray in [0, 1].

        Returns:
            What was found.

        Raises:
            InputError: nothing can be estimated from the photo; it is left out.
        """
        estimate = estimate_kernel(photo, self.scale)
        patches = noise_patches(photo, estimate.noise, self.most)
        self._photos.append(name)
        self._kernels.append(estimate.kernel)
        self._noise.append(patches)
        return estimate

    def bank(self) -> InjectionBank:
        """Return the bank of all photos so far.

        Raises:
            InputError: there are none.
        """
        if not self._photos:
            raise InputError("no photo tells of its degradation: give others, or larger ones")
        counts = [len(patches) for patches in self._noise]
        places = np.arange(len(self._photos), dtype=np.int32)
        return InjectionBank(
            self.scale,
            np.stack(self._kernels).astype(np.float32),
            np.concatenate(self._noise),
            tuple(self._photos),
            places,
            places.repeat(counts),
        )


def check_bank_path(path: Path) -> None:
    """Refuse a file that no bank can be written to, before there is one.

    Raises:
        InputError: the file's name does not end in .npz, or its folder is not there.
    """
    check_npz(path, "a bank is an .npz file: name it such as bank.npz")


@lru_cache(maxsize=8)
def _reread(path: Path, digest: str) -> InjectionBank:
    """Read a bank that another process has read."""
    bank = InjectionBank.read(path)
    if bank.digest != digest:
        raise InputError(f"{path}: the bank has been changed since this run began")
    return bank


@dataclasses.dataclass(frozen=True, slots=True)
class Injection:
    """One task: which kernel and which noise of a bank make an LR photo from an HR one.

    Args:
        bank: where they are.
        kernel: number of the kernel.
        noise: number of the noise patch that the first image of a batch gets, the next one the next; None is
            none.
        offset: row and column of the patch that come to lie on the image's first; an image that goes on where
            the patch ends gets it reflected.
        jpeg: JPEG quality 1..100; None saves without loss.

    Raises:
        InputError: a value is outside its range.
    """

    bank: InjectionBank
    kernel: int = 0
    noise: int | None = None
    offset: tuple[int, int] = (0, 0)
    jpeg: int | None = None

    def __post_init__(self) -> None:
        check_number("injection: kernel", self.kernel, whole=True)
        if not 0 <= self.kernel < len(self.bank.kernels):
            raise InputError(
                f"injection: the bank has kernels 0 to {len(self.bank.kernels) - 1}, not {self.kernel}"
            )
        if self.noise is not None:
            check_number("injection: noise", self.noise, whole=True)
            if not 0 <= self.noise < len(self.bank.noise):
                raise InputError(
                    f"injection: the bank has {len(self.bank.noise)} noise patches, no {self.noise}"
                )
        if isinstance(self.offset, list):  # as JSON and YAML hand tuples over
            object.__setattr__(self, "offset", tuple(self.offset))
        if not (isinstance(self.offset, tuple) and len(self.offset) == 2 and min(self.offset) >= 0):
            raise InputError(f"injection: offset must be a row and a column, got {self.offset!r}")
        for number in self.offset:
            check_number("injection: offset", number, whole=True)
        if self.jpeg is not None:
            check_number("injection: jpeg", self.jpeg, whole=True)
            if not 1 <= self.jpeg <= 100:
                raise InputError(f"injection: jpeg must be a quality from 1 to 100, got {self.jpeg}")

    @property
    def scale(self) -> int:
        """HR side / LR side."""
        return self.bank.scale

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters as plain values, the bank by its digest; `from_dict` reads them back."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**values, "bank": self.bank.digest}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], bank: InjectionBank) -> Injection:
        """Build a task from plain values.

        Args:
            values: what `as_dict` returned.
            bank: the bank of which they speak.

        Raises:
            InputError: a key is unknown, a value has the wrong type or range, or it is another bank.
        """
        check_keys("injection", values, [field.name for field in dataclasses.fields(cls)])
        if values.get("bank", bank.digest) != bank.digest:
            raise InputError(f"injection: it is of the bank {values['bank']}, not of {bank.digest}")
        return cls(**{**values, "bank": bank})

    def __str__(self) -> str:
        """Name what is injected."""
        text = f"kernel {self.kernel} to 1/{self.scale}"
        if self.noise is not None:
            text += f" noise {self.noise}@{self.offset[0]},{self.offset[1]}"
        text += "" if self.jpeg is None else f" jpeg {self.jpeg}"
        return f"{text} (bank {self.bank.digest})"

    def apply(self, x: Array, seed: int, first_item: int = 0) -> Array:
        """Make LR images from HR images; see `degrade`. The task says which noise: the seed is not used."""
        check_batch(x, channels=3 if self.noise is not None or self.jpeg is not None else None)
        scale, kernel = self.scale, self.bank.kernels[self.kernel]
        reach = (kernel.shape[0] - scale) // 2
        with full_precision(x):
            for axis in (2, 3):
                length = x.shape[axis]
                x = take(x, reflect(np.arange(-reach, length + reach), length), axis)
            x = correlate(x, kernel)[:, :, ::scale, ::scale]
            if self.noise is not None:
                side = self.bank.noise.shape[2]
                rows, columns = (
                    reflect(first + np.arange(length), side)
                    for first, length in zip(self.offset, x.shape[2:], strict=True)
                )
                items = (self.noise + first_item + np.arange(x.shape[0])) % len(self.bank.noise)
                x = x + constant(self.bank.noise[items][:, :, rows][:, :, :, columns], x)
            x = x.clip(0.0, 1.0)
            if self.jpeg is not None:
                x = jpeg(x, self.jpeg)
        return x


@dataclasses.dataclass(frozen=True)
class InjectionSpace:
    """Where injections are drawn from: all kernels are equally likely, and all noise patches.

    Args:
        bank: the bank, or the path of its file.
        scale: HR side / LR side; 0 takes the bank's, and any other but that cannot be drawn from.
        noise_probability: share of tasks with noise, if the bank has any.
        jpeg_probability: share of tasks with JPEG.
        jpeg: range of the JPEG quality.

    Raises:
        InputError: the bank cannot be read, a range is upside down, or a probability is not in [0, 1].
    """

    bank: InjectionBank
    scale: int = 0
    noise_probability: float = 1.0
    jpeg_probability: float = 0.0
    jpeg: tuple[int, int] = (60, 95)

    def __post_init__(self) -> None:
        if isinstance(self.bank, (str, Path)):
            object.__setattr__(self, "bank", InjectionBank.read(Path(self.bank)))
        if not isinstance(self.bank, InjectionBank):
            raise InputError(f"injection space: bank must be the path of a bank, got {self.bank!r}")
        check_ranges("injection space", self, ("scale", "jpeg"), ("jpeg",), others=("bank",))
        if self.scale == 0:
            object.__setattr__(self, "scale", self.bank.scale)
        for end in (0, 1):
            Injection(self.bank, jpeg=self.jpeg[end])

    def as_dict(self) -> dict[str, Any]:
        """Return the ranges as plain values, the bank by its path; `from_dict` reads them back.

        Raises:
            InputError: the bank was not read from a file.
        """
        if self.bank.path is None:
            raise InputError("injection space: a bank without a file has no path to write down")
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**values, "bank": str(self.bank.path)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InjectionSpace:
        """Build a space from plain values (lists may stand for tuples).

        Raises:
            InputError: a key is unknown, or a value has the wrong type or range.
        """
        check_keys("injection space", values, [field.name for field in dataclasses.fields(cls)])
        if "bank" not in values:
            raise InputError("injection space: bank is missing: the file that blindsr fit-degradations made")
        return cls(**values)

    def sample(self, rng: np.random.Generator) -> Injection:
        """Draw one task.

        Args:
            rng: source of all randomness; the same state gives the same task.

        Returns:
            A task of this space.

        Raises:
            InputError: the bank is for another scale.
        """
        bank = self.bank
        if self.scale != bank.scale:
            name = "the bank" if bank.path is None else f"{bank.path}: this bank"
            raise InputError(
                f"{name} is for scale {bank.scale}, not {self.scale}: make one with blindsr fit-degradations "
                f"--scale {self.scale}"
            )
        kernel = int(rng.integers(len(bank.kernels)))
        noise, offset = None, (0, 0)
        if len(bank.noise) and rng.random() < self.noise_probability:
            noise = int(rng.integers(len(bank.noise)))
            side = bank.noise.shape[2]
            offset = (int(rng.integers(side)), int(rng.integers(side)))
        quality = None
        if rng.random() < self.jpeg_probability:
            quality = int(rng.integers(self.jpeg[0], self.jpeg[1] + 1))
        return Injection(bank, kernel, noise, offset, quality)
