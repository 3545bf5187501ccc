"""The public face: what `import blindsr` gives, how it shows itself, and that its examples are true."""

from __future__ import annotations

import doctest
import inspect
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import blindsr
from blindsr.picture import open_photo

from .children import finished
from .conftest import add_inspector, made_photo, save_photos, stand_in_copy, write_model

NAMES = [name for name in blindsr.__all__ if name != "__version__"]
CLASSES = [name for name in NAMES if inspect.isclass(getattr(blindsr, name))]
ERRORS = [name for name in CLASSES if issubclass(getattr(blindsr, name), Exception)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples name: two photos, and small models called as the shipped ones are."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("examples")
    for seed, name in enumerate(("photo.jpg", "other.jpg")):
        Image.fromarray(made_photo(40, 56, seed)).save(folder / name)
    add_inspector(write_model(folder / "models" / "cmdsr-x4"))
    write_model(folder / "models" / "cria-x4-compact", adaptive=False, texture=0.85)
    write_model(folder / "downloads" / "faces-x4", scale=2)
    return folder


@pytest.fixture
def there(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, as the current one."""
    return stand_in_copy(place, tmp_path / "here", monkeypatch)


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_true(name: str, there: Path) -> None:
    """Each public name has an example, and so have the methods that have one; all of them run."""
    known = {"blindsr": blindsr, "np": np}
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = finder.find(getattr(blindsr, name), name, module=False, globs=known)  # type: ignore[arg-type]
    assert any(one.name == name and one.examples for one in found), "an example in the docstring itself"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report: list[str] = []
    for one in found:
        runner.run(one, out=report.append)
    assert not runner.failures, "".join(report)


@pytest.mark.parametrize("name", sorted(set(CLASSES) - set(ERRORS)))
def test_objects_say_whether_threads_may_share_them(name: str) -> None:
    assert "hread" in (getattr(blindsr, name).__doc__ or "")


def test_every_name_is_there_and_listed() -> None:
    assert set(blindsr.__all__) <= set(dir(blindsr))
    assert sorted(blindsr._HOMES) == sorted(NAMES), "the table and the list of names"
    assert callable(blindsr.metrics.psnr) and callable(blindsr.degradation.Degradation), "without an import"
    with pytest.raises(AttributeError, match="no attribute 'upscael'"):
        blindsr.upscael  # noqa: B018


def test_type_checkers_know_the_same_names() -> None:
    """They read the imports that are never run."""
    source = Path(blindsr.__file__).read_text(encoding="utf-8")
    block = source[source.index("if TYPE_CHECKING:") : source.index("_HOMES = ")]
    told: dict[str, object] = {}
    exec("\n".join(line.strip() for line in block.splitlines()[1:] if "import" in line), told)
    for name in NAMES:
        assert told[name] is getattr(blindsr, name), name


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(ERRORS)))
def test_options_are_keywords(name: str) -> None:
    """What has a default, and is no input or output, can only be given by its name."""
    signature = inspect.signature(getattr(blindsr, name))
    places = [one for one in signature.parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    optional = [one.name for one in places if one.default is not one.empty]
    allowed = {
        "Upscaler": ["model"],
        "plan_batch": ["out"],
        "Outcome": ["error", "input_size", "output_size", "seconds"],
    }
    assert optional == allowed.get(name, [])
    assert len(places) - len(optional) <= {
        "CameraReading": 4,
        "Comparison": 5,
        "Reading": 5,
        "Pulled": 4,
    }.get(name, 3)


@pytest.mark.parametrize("method", ["adapt", "upscale", "upscale_file", "restore", "identity"])
def test_options_of_an_upscaler_are_keywords(method: str) -> None:
    parameters = inspect.signature(getattr(blindsr.Upscaler, method)).parameters.values()
    assert not [
        one.name
        for one in parameters
        if one.kind is one.POSITIONAL_OR_KEYWORD and one.default is not one.empty
    ]


def test_objects_show_themselves_on_one_short_line(there: Path) -> None:
    photos = [str(photo) for photo in save_photos(there / "many", 9, 20, 30).iterdir()]
    upscaler = blindsr.Upscaler("cmdsr-x4")
    plan = blindsr.plan_batch([there / "many"], there / "out", label="x4")
    camera = blindsr.read_camera(upscaler, [*photos, "missing.jpg"])
    shown: list[object] = [
        upscaler,
        upscaler.model,
        camera,
        camera.adaptation,
        blindsr.read("photo.jpg"),
        open_photo("photo.jpg"),
        blindsr.Picture(
            np.zeros((9, 9, 1), np.float32), alpha=np.ones((9, 9), np.float32), icc=b"i" * 9999, xmp=b"x"
        ),
        blindsr.compare("photo.jpg", blindsr.upscale("photo.jpg")),
        blindsr.ComparisonPage("page.html"),
        plan,
        blindsr.Inspector(upscaler.model),
        blindsr.OutputSize(scale=2.5),
        blindsr.Memory.parse("2G"),
        *blindsr.run_batch(blindsr.plan_batch(["missing.jpg", "photo.jpg"], label="x4"), upscaler),
        blindsr.run_batch(plan, upscaler)[0],
    ]
    for one in shown:
        text = repr(one)
        assert type(one).__name__ in text and len(text) < 300 and "\n" not in text and "array" not in text, (
            text
        )
    assert repr(shown[6]) == "<Picture 9x9 gray with alpha, 8 bit, ICC, XMP>"
    assert repr(plan).startswith("<Plan for 9 photos, into ")


def test_names_of_strangers_break_no_line(there: Path) -> None:
    model = write_model(there / "models" / "odd", name="two\nlines" + "s" * 150)
    upscaler = blindsr.Upscaler(model)
    for one in (upscaler, upscaler.model, upscaler.adapt("photo.jpg")):
        assert "\n" not in repr(one) and len(repr(one)) < 300


def test_reaching_a_name_loads_only_what_it_needs() -> None:
    code = (
        "import sys, blindsr; blindsr.InputError, blindsr.Memory, blindsr.available_models(), dir(blindsr);"
        "print(sorted({'numpy', 'openvino', 'pyvips', 'PIL', 'rich', 'typer'} & set(sys.modules)))"
    )
    assert finished(sys.executable, "-c", code).stdout == "[]\n"


def test_importing_loads_four_small_modules() -> None:
    """A clock would tell of the machine; what there is to load tells of the package."""
    code = "import sys; before = set(sys.modules); import blindsr; print(*sorted(set(sys.modules) - before))"
    loaded = finished(sys.executable, "-c", code).stdout.split()
    ours = [name for name in loaded if name.startswith("blindsr")]
    assert ours == ["blindsr", "blindsr.system", "blindsr.system.lazy", "blindsr.version"]
    assert len(loaded) < 50, "of the standard library only what `typing` brings"


def test_rooms_that_can_be_reached_are_rooms() -> None:
    assert all(isinstance(getattr(blindsr, room), ModuleType) for room in blindsr._ROOMS)
