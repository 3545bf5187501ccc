"""What becomes of every photo in a folder of odd ones: what it has, what came out, which test stands for it.

    python benchmarks/cases.py my/cases
    python benchmarks/cases.py my/cases --kind geotiff --model cmdsr-x4

Below the folder are folders of kinds of photos, such as `geotiff` or `png_cicp`, with some of each. A line of
the table is a photo, restored as `blindsr upscale` would: its format, size and what it carries; its result's,
with what was changed, left out and warned of (what is not named is kept), or the error; a test of its kind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from blindsr.batch.plan import plan_batch
from blindsr.batch.run import run_batch
from blindsr.batch.stages import Outcome
from blindsr.errors import BlindSRError
from blindsr.picture import Photo, open_photo
from blindsr.picture.loaders import kind_of, other_kind
from blindsr.picture.metadata.carrying import inventory
from blindsr.upscaling.upscaler import Upscaler

TESTS = {
    "apng": "upscaling/test_series.py::test_frames_become_frames",
    "avif": "picture/metadata/test_carrying.py::test_code_points_mean_the_same_everywhere",
    "bad_sos": "picture/test_loaders.py::test_variants_within_a_kind",
    "bmp": "picture/test_rare_files.py::test_kin_of_ppm",
    "cmyk_jpeg": "picture/test_picture.py::test_palette_and_cmyk_become_rgb",
    "exif_sizes": "picture/metadata/test_carrying.py::test_exif_and_xmp_of_any_size",
    "geotiff": "picture/metadata/test_carrying.py::test_geotiff",
    "gif": "picture/metadata/test_survey.py::test_webp_and_gif",
    "gray_rgbicc": "picture/metadata/test_carrying.py::test_profiles_that_do_not_belong_are_named",
    "icc": "picture/test_picture.py::test_colours_survive_where_their_profile_cannot",
    "iptc": "picture/metadata/test_exiftool.py::test_the_difference_is_what_the_report_says",
    "jfif": "batch/test_recognition.py::test_results_are_what_photos_are_not_what_they_are_called",
    "jpeg_com": "picture/metadata/test_carrying.py::test_a_jpeg_from_a_phone",
    "jpeg_kinds": "picture/test_rare_files.py::test_other_kinds_are_called_by_name",
    "mpo": "picture/metadata/test_survey.py::test_mpo",
    "no_eoi": "picture/test_rare_files.py::test_without_the_mark_of_its_end",
    "orient_xmp": "picture/metadata/test_xmp.py::test_orientation_and_sizes",
    "png_badicc": "picture/metadata/test_carrying.py::test_profiles_that_do_not_belong_are_named",
    "png_cicp": "picture/metadata/test_carrying.py::test_code_points_mean_the_same_everywhere",
    "png_ga16": "picture/test_inputs.py::test_gray_and_alpha_in_and_out",
    "png_gama": "picture/metadata/test_carrying.py::test_gamma_and_chromaticities",
    "png_palette": "picture/test_picture.py::test_transparent_palette_has_alpha",
    "png_rawexif": "picture/metadata/test_carrying.py::test_texts_of_a_png",
    "png_text": "picture/metadata/test_carrying.py::test_texts_of_a_png",
    "prog_rst": "picture/test_loaders.py::test_variants_within_a_kind",
    "tiff_assoc": "picture/test_tiff.py::test_from_any_format_into_tiff_and_back",
    "tiff_colour": "picture/test_rare_files.py::test_lab_in_eight_bits",
    "tiff_float": "picture/test_picture.py::test_float_tiff_as_it_stands",
    "tiff_layout": "picture/test_loaders.py::test_codecs_within_a_kind",
    "tiff_multi": "upscaling/test_series.py::test_pages_become_pages",
    "uhdr": "picture/metadata/test_gain_map.py::test_a_result_has_it_as_it_was",
    "webp_alpha": "picture/test_picture.py::test_lossless_round_trip",
    "white_page": "picture/test_rim.py::test_a_white_page_is_white_to_its_rim",
}
"""Kinds of photos -> a test of ours, below tests/, that makes one and says what must come out."""


def described(photo: Photo) -> str:
    """A photo or a result: its pixels, and what it carries besides."""
    colours = ("gray" if photo.gray else "RGB") + ("A" if photo.has_alpha else "")
    carried = [item.text for item in inventory(photo) if item.kind != "alpha"]
    return ", ".join([f"{photo.width}x{photo.height} {colours} {photo.bit_depth} bit", *carried])


def before(path: Path) -> str:
    """What a photo has."""
    head = path.read_bytes()[:64]
    kind = kind_of(head) or other_kind(head) or "unknown"
    try:
        with open_photo(path) as photo:
            return f"{kind}: {described(photo)}"
    except BlindSRError:
        return kind


def after(outcome: Outcome) -> str:
    """What came of it."""
    if outcome.error is not None:
        told = str(outcome.error)
        return "refused: " + told.removeprefix(f"{outcome.task.source}: ")
    with open_photo(outcome.task.target) as photo:
        result = f"{outcome.task.target.suffix[1:]}: {described(photo)}"
    texts = {} if outcome.report is None else outcome.report.texts()
    named = [("changed", "changed"), ("dropped", "left out"), ("warnings", "warned")]
    parts = [f"{said} {', '.join(texts[name])}" for name, said in named if texts.get(name)]
    return "; ".join([result, *parts])


def lines(folder: Path, upscaler: Upscaler, only: str = "") -> Iterator[str]:
    """The table, line by line."""
    yield "| photo | what it has | what came out | test |"
    yield "|---|---|---|---|"
    with tempfile.TemporaryDirectory() as name:
        for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
            kind = path.relative_to(folder).parts[0]
            if only and kind != only:
                continue
            plan = plan_batch([path], Path(name) / str(number), label="out")
            (outcome,) = run_batch(plan, upscaler)
            cells = [str(path.relative_to(folder)), before(path), after(outcome), TESTS.get(kind, "")]
            yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of folders, a kind of photos each.")],
    model: Annotated[str | None, typer.Option(help="Name or folder; else the default.")] = None,
    kind: Annotated[str, typer.Option(help="Only this kind.")] = "",
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
) -> None:
    """Print a table."""
    upscaler = Upscaler(*([] if model is None else [model]), threads=threads)
    for line in lines(folder, upscaler, kind):
        print(line, flush=True)


if __name__ == "__main__":
    typer.run(main)
