"""`blindsr adapt` and `blindsr inspect`: what photos tell; `blindsr fit-inspect`: how that is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from blindsr.cli.options import (
    MODEL,
    RESULT,
    Device,
    Json,
    ModelName,
    Photos,
    Threads,
)
from blindsr.cli.screen import (
    EXIT_SOME_FAILED,
    as_unicode,
    escape,
    file_entry,
    name,
    named_path,
    print_error,
    print_object,
    print_warning,
    progress_bars,
    say,
)
from blindsr.errors import BlindSRError, InputError
from blindsr.system.untrusted import one_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from blindsr.inspection.reading import Estimate, Inspector, Reading
    from blindsr.models.card import Model
    from blindsr.upscaling.profile import CameraReading
    from blindsr.upscaling.upscaler import Adaptation, Upscaler

# Mean distance of photos from their profile, in parts of that of photos degraded at random.
_AGREE, _ROUGHLY = 0.35, 0.7

_LEGEND = (
    "Blur: standard deviation of a Gaussian. Give or take: mean error for photos like it, on photos that the"
    " fit never saw."
)


def adapt(
    inputs: Photos,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The profile, such as phone.profile.", rich_help_panel=RESULT)
    ],
    model: ModelName = None,
    names: Annotated[
        bool,
        typer.Option("--names", help="Write the photos' names into the profile.", rich_help_panel=RESULT),
    ] = False,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Read once what one camera's photos share, for every later photo."""
    from blindsr.batch.plan import find_photos
    from blindsr.picture import READABLE
    from blindsr.system.files import refuse_overwriting
    from blindsr.upscaling.profile import read_camera, write_profile

    if out.is_dir() or out.suffix.lower() in READABLE:
        raise InputError(f"-o {out}: the profile is a file of its own; name it such as phone.profile")
    photos = find_photos(inputs)
    refuse_overwriting([out], photos)
    upscaler = _upscaler(model, device, threads)
    refuse_overwriting([out], upscaler.model.reads)
    with progress_bars() as progress:
        bar = progress.add_task("reading", total=len(photos))
        found = read_camera(
            upscaler,
            photos,
            on_photo=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    for fault in found.faults:
        print_error(fault)
    write_profile(
        found.adaptation, upscaler.model, out, names=[photo.name for photo in found.photos] if names else ()
    )
    inspector = _inspector(upscaler.model)
    if as_json:
        print_object(_adaptation_report(out, found, inspector, upscaler.model))
    else:
        _tell_adaptation(out, found, inspector, upscaler.model)
    if found.faults:
        raise typer.Exit(EXIT_SOME_FAILED)


def _adaptation_report(
    out: Path, found: CameraReading, inspector: Inspector | None, model: Model
) -> dict[str, Any]:
    """A profile that was made, for a program."""
    odd = {photo for photo, is_odd in zip(found.photos, _odd_ones(found, inspector), strict=True) if is_odd}
    return {
        **file_entry("profile", out),
        "model": model.name,
        "photos": len(found.photos),
        "distance": round(float(found.distances.mean()), 6),
        "outliers": [as_unicode(str(photo)) for photo in sorted(odd)],
        "errors": [as_unicode(str(fault)) for fault in found.faults],
        **({} if inspector is None else _numbers(inspector.read(found.adaptation.condition), model)),
    }


def _tell_adaptation(out: Path, found: CameraReading, inspector: Inspector | None, model: Model) -> None:
    """A profile that was made, for a person."""
    console, count = Console(), len(found.photos)
    say(console, f"{name(out)}: {count} photo{'s' * (count > 1)} read for {model.name}")
    if inspector is not None:
        say(console, f"they show {_summary(inspector.read(found.adaptation.condition))}")
    if count > 1:
        say(console, _agreement(found, inspector))
    _warn_of_outliers(found, inspector)


def inspect(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="INPUT", parser=named_path, help="Photos, folders of them, or quoted patterns."
        ),
    ] = None,
    model: ModelName = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            readable=False,
            help="Tell what this profile holds, and whether the photos fit it.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Tell what the model reads from photos (blur, noise, compression), and what their files carry."""
    from blindsr.batch.plan import find_photos
    from blindsr.inspection.reading import Inspector
    from blindsr.upscaling.profile import read_profile

    if not inputs and profile is None:
        raise InputError("inspect what? give photos, folders, or --profile")
    photos = find_photos(inputs or [])
    upscaler = _upscaler(model, device, threads)
    inspector = Inspector(upscaler.model)
    camera = None if profile is None else read_profile(profile, upscaler.model)
    console, told, failed = Console(), False, False

    def show(report: dict[str, Any], lines: Sequence[str]) -> None:
        nonlocal told
        if as_json:
            print_object(report)
        else:
            for line in lines:
                say(console, line)
        told = True

    if profile is not None and camera is not None:
        show(*_profile_report(profile, camera, inspector, upscaler.model))
    for photo in photos:
        try:
            show(*_photo_report(photo, upscaler, inspector, camera))
        except BlindSRError as error:
            failed = True
            if as_json:
                print_object({**file_entry("file", photo), "error": as_unicode(str(error))})
            else:
                print_error(error)
    if told and not as_json:
        say(console, _LEGEND)
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _upscaler(model: str | None, device: str, threads: int | None) -> Upscaler:
    from blindsr.models.catalogue import ADAPTING_MODEL
    from blindsr.upscaling.upscaler import Upscaler

    return Upscaler(ADAPTING_MODEL if model is None else model, device=device, threads=threads)


def _inspector(model: Model) -> Inspector | None:
    """What reads the model's conditions, where somebody has fitted it."""
    from blindsr.inspection.reading import Inspector

    return Inspector(model) if "inspect" in model.files else None


def _summary(reading: Reading) -> str:
    """A reading in half a line."""
    blur, noise = reading.blur, reading.noise
    parts = [
        _amount("blur", blur, f"{blur.value:.1f} pixels of the result"),
        _amount("noise", noise, f"{noise.value:.0f} levels of 255"),
        f"JPEG of a quality of about {reading.quality.value:.0f}" if _jpeg_worth_a_word(reading) else "",
    ]
    return ", ".join(filter(None, parts)) or "nothing that this model can put a number to"


def _amount(kind: str, estimate: Estimate, value: str) -> str:
    """One number of a summary; one below its own error is told from none by nobody."""
    if not estimate.telling:
        return ""
    return f"hardly any {kind}" if estimate.value < estimate.error else f"{kind} of about {value}"


def _jpeg_worth_a_word(reading: Reading) -> bool:
    return reading.jpeg_telling and reading.jpeg_seen and reading.quality.telling


def _agreement(found: CameraReading, inspector: Inspector | None) -> str:
    """How much the photos agree, in words and numbers."""
    distance = float(found.distances.mean())
    if inspector is None:
        return f"their conditions lie {distance:.3g} from the profile on average"
    part = distance / inspector.spread
    verdict = "they agree"
    if part > _AGREE:
        verdict = "they agree roughly" if part <= _ROUGHLY else "they hardly agree: are they of one camera?"
    return (
        f"{verdict}: their conditions lie {distance:.2f} from the profile on average,"
        f" {100 * part:.0f} % as far as those of photos degraded at random"
    )


def _odd_ones(found: CameraReading, inspector: Inspector | None) -> NDArray[np.bool_]:
    """Which of the photos do not belong."""
    from blindsr.upscaling.profile import outliers

    return outliers(found.conditions, None if inspector is None else inspector.spread)


def _warn_of_outliers(found: CameraReading, inspector: Inspector | None) -> None:
    """A line for each photo that does not belong."""
    odd = _odd_ones(found, inspector)
    for photo, condition, is_odd in zip(found.photos, found.conditions, odd, strict=True):
        if is_odd:
            why = "" if inspector is None else f" ({_summary(inspector.read(condition))})"
            print_warning(f"{photo}: does not belong to the others{why}; make the profile without it")


def _profile_report(
    path: Path, camera: Adaptation, inspector: Inspector, model: Model
) -> tuple[dict[str, Any], list[str]]:
    """What a profile says, for a program and for a person."""
    reading = inspector.read(camera.condition)
    report = {**file_entry("profile", path), "model": model.name, "photos": camera.photos}
    heading = f"[bold]{name(path)}[/], {camera.photos} photo{'s' * (camera.photos > 1)}"
    return {**report, **_numbers(reading, model)}, [heading, *_lines(reading, model)]


def _photo_report(
    photo: Path, upscaler: Upscaler, inspector: Inspector, camera: Adaptation | None
) -> tuple[dict[str, Any], list[str]]:
    """What a photo says, for a program and for a person."""
    from blindsr.inspection.reading import advice, saved_quality
    from blindsr.picture import read
    from blindsr.picture.metadata.carrying import inventory

    model = upscaler.model
    picture = read(photo)
    condition = upscaler.adapt([picture]).condition
    reading = inspector.read(condition)
    saved = saved_quality(photo)
    advised = advice(reading, None if saved is None else saved[0])
    report: dict[str, Any] = {
        **file_entry("file", photo),
        "width": picture.width,
        "height": picture.height,
        "model": model.name,
        **_numbers(reading, model),
        "saved_quality": None if saved is None else {"value": saved[0], "exact": saved[1]},
        "advice": advised,
    }
    lines = [f"[bold]{name(photo)}[/], {picture.width}x{picture.height}", *_lines(reading, model)]
    if saved is not None:
        about = "" if saved[1] else "about "
        lines.append(f"  file    last saved at {about}quality {saved[0]} (earlier saves do not show there)")
    carried = inventory(picture)
    report["carries"] = [
        {"kind": one.kind, "text": as_unicode(one.text), "bytes": one.size} for one in carried
    ]
    lines += [f"  carries {escape(one_line(', '.join(one.text for one in carried)))}"] if carried else []
    before = picture.metadata.restored_before
    report["restored_before"] = None if before is None else asdict(before)
    lines += [] if before is None else [f"  origin  {escape(one_line(before.warning))}"]
    if camera is not None:
        distance = _distance(condition, camera.condition) / inspector.spread
        report["profile_distance"] = round(distance, 3)
        fits = "fits" if distance <= _ROUGHLY else "does not fit"
        lines.append(
            f"  profile {fits}: {100 * distance:.0f} % as far from it as photos degraded at random are"
        )
    return report, [*lines, *(f"  advice  {line}" for line in advised)]


def _numbers(reading: Reading, model: Model) -> dict[str, Any]:
    """A reading for a program, with the blur in the photo's own pixels as well."""
    numbers = reading.as_dict()
    numbers["blur"]["lr_pixels"] = round(reading.blur.value / model.scale, 3)
    return numbers


def _lines(reading: Reading, model: Model) -> list[str]:
    """A reading for a person."""
    from blindsr.inspection.reading import NOISE

    blur, noise, quality = reading.blur, reading.noise, reading.quality
    cannot = "this model cannot tell (its error is {:.2f}, a guess's {:.2f})"
    if not blur.telling:
        line = cannot.format(blur.error, blur.guess)
    elif blur.value < blur.error:
        line = f"hardly any (give or take {blur.error:.1f} pixels of the x{model.scale} result)"
    else:
        line = (
            f"about {blur.value:.1f} pixels of the x{model.scale} result (give or take {blur.error:.1f}),"
            f" {blur.value / model.scale:.1f} of the photo"
        )
    lines = [f"  blur    {line}"]
    if not noise.telling:
        line = cannot.format(noise.error, noise.guess)
    elif noise.value < noise.error:
        line = f"hardly any (give or take {noise.error:.1f} levels of 255)"
    elif noise.value >= NOISE[1]:
        line = f"{NOISE[1]:.0f} levels of 255 or more"
    else:
        line = f"about {noise.value:.0f} levels of 255 (give or take {noise.error:.1f})"
    lines.append(f"  noise   {line}")
    right = f"right in {100 * reading.jpeg_right:.0f} of 100 photos"
    if not reading.jpeg_telling:
        lines.append(f"  JPEG    this model cannot tell ({right}, a coin in 50)")
    elif not reading.jpeg_seen:
        lines.append(f"  JPEG    none seen ({right})")
    elif quality.telling:
        lines.append(
            f"  JPEG    about quality {quality.value:.0f} (give or take {quality.error:.0f}; {right})"
        )
    else:
        lines.append(f"  JPEG    seen, its quality cannot be told ({right})")
    return lines


def _distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(((one.astype("f8") - other) ** 2).sum() ** 0.5)
