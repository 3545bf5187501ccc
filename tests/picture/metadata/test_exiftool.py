"""What exiftool, which is not ours, sees before and after: what the report says, and what is stated here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from blindsr.picture import FORMATS
from blindsr.picture.metadata.report import Report
from blindsr.upscaling.upscaler import Upscaler

from ...conftest import write_model
from .cameras import FILES

pytestmark = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool is not installed (Debian: libimage-exiftool-perl)"
)

Tags = dict[str, object]
Results = dict[tuple[str, str], tuple[Tags, Tags, Report]]

SUFFIXES = [format_.suffixes[0] for format_ in FORMATS.values()]

CONTAINER = (
    # How this file is built, and how its pixels are stored.
    r"SourceFile|ExifTool:.*|System:.*|QuickTime:.*|Meta:.*|RIFF:.*|VP8.*|JFIF:.*|APP14:.*|PNG-pHYs:.*|GIF:.*",
    r"File:(FileType.*|MIMEType|Image(Width|Height|Length)|BitsPerSample|ColorComponents|EncodingProcess)",
    r"File:(YCbCrSubSampling|ExifByteOrder|CurrentIPTCDigest|BMPVersion|Planes|BitDepth|Compression)",
    r"File:(NumColors|NumImportantColors|PixelsPerMeter[XY]|ImportantColors)",
    r"Jpeg2000:(MajorBrand|MinorVersion|CompatibleBrands)",
    r"PNG:(Image(Width|Height)|BitDepth|ColorType|Compression|Filter|Interlace|ProfileName|Palette)",
    r"IFD0:(Image(Width|Height)|BitsPerSample|Compression|Photometric.*|StripOffsets|SamplesPerPixel)",
    r"IFD0:(RowsPerStrip|StripByteCounts|PlanarConfiguration|Predictor|SampleFormat|ExtraSamples)",
)
APPEARS = (
    # How the result was made.
    r"XMP-blindsr:.*|XMP-xmp:CreatorTool|XMP-xmpMM:History|XMP-iptcExt:DigitalSourceType|XMP-x:XMPToolkit",
    # The resolution, in formats that tell it elsewhere; and that the photo lies as it should.
    r"IFD0:([XY]Resolution|ResolutionUnit|Orientation)|ExifIFD:ExifVersion",
    # Which packet goes on in which.
    r"XMP-xmpNote:HasExtendedXMP",
    # What nclx says, as PNG says it.
    r"PNG-cICP:.*",
)
"""Tags that may be there though the photo has none; each pattern is of whole names."""

CHANGES = (r"XMP-xmpMM:History|XMP-iptcExt:DigitalSourceType|XMP-xmpNote:HasExtendedXMP",)
VANISHES = (
    r"XMP-xmpNote:HasExtendedXMP",
    # Of a TIFF, where the result has another place for it.
    r"IFD0:([XY]Resolution|ResolutionUnit)",
)
SAME = {"PNG:Comment": "File:Comment"}
"""Names of the same in two formats."""

EXIF = r"(IFD0|ExifIFD|GPS|InteropIFD|Canon):.*"
RULES: dict[str, str] = {
    r"EXIF \(.*orientation.*\)": r"IFD0:Orientation",
    r"EXIF \(.*size.*\)": r"ExifIFD:(ExifImage(Width|Height)|SubjectArea|FocalPlane[XY]Resolution)",
    r"EXIF \(.*resolution.*\)": r"IFD0:([XY]Resolution|ResolutionUnit)",
    r"XMP \(.*orientation.*\)": r"XMP-tiff:Orientation",
    r"XMP \(.*size.*\)": r"XMP-(tiff|exif):(Exif)?Image(Width|Height)",
    r"XMP \(.*regions.*\)": r"XMP-mwg-rs:RegionInfo",
    r"XMP \(origin\)": r"XMP-xmpMM:History",
    r"XMP: moving part of the photo": r"XMP-GCamera:MotionPhoto",
    r"thumbnail": r"IFD1:.*|Photoshop:PhotoshopThumbnail",
    r"maker notes \(.*": r"Canon:.*",
    r"[0-9]+ further picture": r"MPF0:.*|MPImage[0-9]:.*",
    r"private tag 65000": r"IFD0:OwnerName",
    r"GeoTIFF tags \(size of a pixel\)": r"IFD0:PixelScale",
    r"time of the last change": r"PNG:ModifyDate",
    r"text '(?P<key>.*)'": r"PNG:(?i:{key})",
    r"comment": r"(File|PNG):Comment",
    r"colour chunks .*\(.*": r"PNG:.*(Gamma|Point|Red|Green|Blue).*|ICC.*",
    r"colour code points .*\(.*": r"ICC.*",
    r"colour profile.*": r"ICC.*",
    r"EXIF": EXIF,
    r"XMP": r"XMP-.*",
    r"IPTC": r"IPTC:.*",
    r"Photoshop resources": r"Photoshop:.*",
    r"GeoTIFF tags": r"GeoTiff:.*|IFD0:(PixelScale|ModelTiePoint)",
}
"""What a report says, of whole texts -> the tags that it speaks of."""

UNSEEN = (r"video \(motion photo\)", r"alpha.*", r"resolution")
"""What exiftool has no tags for, or each format another one."""


def tags_of(paths: list[Path]) -> list[Tags]:
    """All tags of files, by one exiftool: it takes longer to start than to read."""
    command = ["exiftool", "-json", "-G1", "-a", "-u", "-e", "-struct", *map(str, paths)]
    told = subprocess.run(command, capture_output=True, check=False, timeout=120).stdout
    return [{SAME.get(name, name): value for name, value in tags.items()} for tags in json.loads(told)]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Every file in every format: its tags, its result's, and the report."""
    folder = tmp_path_factory.mktemp("files")
    model = write_model(folder / "tiny", scale=2, adaptive=False)
    upscaler = Upscaler(model, device="cpu", threads=1)
    made: list[tuple[str, str, Path, Path, Report]] = []
    for name, make in FILES.items():
        (folder / name).write_bytes(make())
        for suffix in SUFFIXES:
            target = folder / f"{Path(name).stem} out{suffix}"
            made.append((name, suffix, folder / name, target, upscaler.upscale_file(folder / name, target)))
    read = tags_of([path for _, _, source, target, _ in made for path in (source, target)])
    pairs = zip(read[::2], read[1::2], strict=True)
    return {
        (name, suffix): (*tags, report) for (name, suffix, *_, report), tags in zip(made, pairs, strict=True)
    }


def difference(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, str]:
    """Tags that are not the same -> what became of them."""
    found = {}
    for name in {*before, *after}:
        if name not in after:
            found[name] = "vanished"
        elif name not in before:
            found[name] = "appeared"
        elif before[name] != after[name]:
            found[name] = "changed"
    return found


def stated(name: str, what: str) -> bool:
    """Whether a difference needs no word in the report."""
    lists = {"appeared": APPEARS, "changed": CHANGES, "vanished": VANISHES}
    return any(re.fullmatch(pattern, name) for pattern in (*CONTAINER, *lists[what]))


def spoken_of(texts: list[str]) -> dict[str, str]:
    """What a report says -> a pattern of the tags that it speaks of.

    A text that no rule knows is an error of this test's: no difference may hide behind it.
    """
    found = {}
    for text in texts:
        if any(re.fullmatch(pattern, text) for pattern in UNSEEN):
            continue
        matches = [(re.fullmatch(said, text), tags) for said, tags in RULES.items()]
        patterns = [
            tags.format(key=re.escape(match["key"])) if "{key}" in tags else tags
            for match, tags in matches
            if match
        ]
        assert patterns, f"nothing here knows {text!r}"
        found[text] = "|".join(patterns)
    return found


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", FILES)
def test_the_difference_is_what_the_report_says(results: Results, name: str, suffix: str) -> None:
    before, after, report = results[name, suffix]
    assert len(before) > 30, "exiftool has read the file"
    said = report.texts()
    spoken = spoken_of([*said["changed"], *said["dropped"]])
    differences = difference(before, after)
    unsaid = {
        tag: (what, before.get(tag), after.get(tag))
        for tag, what in differences.items()
        if not stated(tag, what) and not any(re.fullmatch(tags, tag) for tags in spoken.values())
    }
    assert not unsaid, said
    idle = [text for text, tags in spoken.items() if not any(re.fullmatch(tags, tag) for tag in differences)]
    assert not idle, "that is said, and nothing of it is seen"
    for text in said["kept"]:
        kept = re.compile(next((tags for said_so, tags in RULES.items() if re.fullmatch(said_so, text)), "$"))
        gone = [tag for tag, what in differences.items() if what == "vanished" and kept.fullmatch(tag)]
        assert not [tag for tag in gone if not any(re.fullmatch(tags, tag) for tags in spoken.values())], text


@pytest.mark.parametrize("name", FILES)
def test_the_differences_would_be_seen(results: Results, name: str) -> None:
    """The lists above are not so wide that all passes them."""
    before, _, report = results[name, Path(name).suffix]
    spoken = spoken_of([*report.texts()["changed"], *report.texts()["dropped"]])
    lost = [
        tag
        for tag in before
        if not stated(tag, "vanished") and not any(re.fullmatch(tags, tag) for tags in spoken.values())
    ]
    assert len(lost) > 10
