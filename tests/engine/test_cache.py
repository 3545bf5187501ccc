"""Compiled graphs on disk: what is not what was stored is never run, and nothing else there comes to harm."""

from __future__ import annotations

import logging
import os
import random
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from blindsr.engine import cache as cache_module
from blindsr.engine import openvino
from blindsr.engine.cache import GraphCache, user_cache
from blindsr.engine.openvino import OpenVINOEngine, compile_graph
from blindsr.models.catalogue import find_model

from ..children import started
from ..conftest import MakeModel, made_photo, with_int8
from .foreign import write_onnx

KEY = "0123456789abcdef" * 4
BLOB = random.Random(0).randbytes(5000)

posix = pytest.mark.skipif(os.name == "nt", reason="rights of files are another matter there")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the user's compiled graphs lie."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "blindsr" / "openvino"


@pytest.fixture
def kept(tmp_path: Path) -> GraphCache:
    cache = GraphCache(tmp_path)
    cache.store(KEY, BLOB)
    return cache


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


class TestTheFolder:
    """The cache alone, whatever it keeps."""

    def test_what_is_stored_comes_back(self, kept: GraphCache) -> None:
        assert kept.load(KEY) == BLOB
        assert kept.load(KEY[::-1]) is None
        kept.store(KEY, b"another")
        assert kept.load(KEY) == b"another"

    def test_no_damage_comes_back(self, kept: GraphCache, caplog: pytest.LogCaptureFixture) -> None:
        """Every bit of the beginning, many elsewhere; every length of the beginning, many elsewhere."""
        file = only_file(kept.folder)
        sound, rng = file.read_bytes(), random.Random(1)
        places = [*range(80), *(rng.randrange(len(sound)) for _ in range(150)), len(sound) - 1]
        for place in places:
            damaged = bytearray(sound)
            damaged[place] ^= 1 << rng.randrange(8)
            file.write_bytes(damaged)
            assert kept.load(KEY) is None, place
        for length in [*range(80), *(rng.randrange(len(sound)) for _ in range(50)), len(sound) - 1]:
            file.write_bytes(sound[:length])
            assert kept.load(KEY) is None, length
        file.write_bytes(sound + b"\0")
        assert kept.load(KEY) is None
        assert caplog.records and all("damaged" in one.message for one in caplog.records)
        file.write_bytes(sound)
        assert kept.load(KEY) == BLOB

    def test_one_graph_is_not_taken_for_another(self, kept: GraphCache) -> None:
        only_file(kept.folder).rename(kept.folder / f"{KEY[::-1]}.blob")
        assert kept.load(KEY[::-1]) is None

    @posix
    @pytest.mark.parametrize("kind", ["link", "link to nowhere", "folder", "pipe", "unreadable"])
    def test_what_lies_in_its_place_comes_to_no_harm(
        self, kept: GraphCache, tmp_path: Path, kind: str
    ) -> None:
        file, other = only_file(kept.folder), tmp_path / "other"
        if kind == "link":
            file.rename(other)
            file.symlink_to(other)
        elif kind == "link to nowhere":
            file.unlink()
            file.symlink_to(tmp_path / "absent")
        elif kind == "folder":
            file.unlink()
            file.mkdir()
            (file / "inside").touch()
        elif kind == "pipe":
            file.unlink()
            os.mkfifo(file)
        else:
            file.chmod(0)
        before = other.read_bytes() if other.exists() else None
        assert kept.load(KEY) is None or (kind == "unreadable" and os.geteuid() == 0)
        kept.store(KEY, BLOB)
        assert not (tmp_path / "absent").exists()
        assert before is None or other.read_bytes() == before
        if kind == "folder":
            assert (file / "inside").exists() and kept.load(KEY) is None
        elif kind == "pipe":  # nothing of ours makes one, so whoever did wants it
            assert file.is_fifo() and kept.load(KEY) is None
        else:
            assert kept.load(KEY) == BLOB and not file.is_symlink()

    @posix
    @pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
    def test_what_others_may_have_written_is_not_used(self, kept: GraphCache, mode: int) -> None:
        only_file(kept.folder).chmod(mode)
        assert kept.load(KEY) is None
        kept.store(KEY, BLOB)
        assert kept.load(KEY) == BLOB

    @posix
    def test_what_others_own_is_not_used(self, kept: GraphCache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert kept.load(KEY) is None

    def test_the_least_recently_used_make_room(self, tmp_path: Path) -> None:
        cache = GraphCache(tmp_path, most=3 * 5200)
        keys = [f"{i:064x}" for i in range(4)]
        for age, key in enumerate(keys[:3]):
            cache.store(key, BLOB)
            os.utime(tmp_path / f"{key}.blob", (1000 + age, 1000 + age))
        assert cache.load(keys[0]) == BLOB  # and now it is the one used last
        old, foreign, link = (
            tmp_path / "1051384482128769427.blob",
            tmp_path / "notes.blob",
            tmp_path / "5.blob",
        )
        for file in (old, foreign):
            file.write_bytes(bytes(6000))
            os.utime(file, (1, 1))
        if os.name != "nt":
            link.symlink_to(foreign)
        cache.store(keys[3], BLOB)
        assert [cache.load(key) is not None for key in keys] == [True, False, True, True]
        assert not old.exists() and foreign.exists() and (link.is_symlink() or os.name == "nt")

    def test_more_than_the_whole_room_is_kept_by_itself_but_not_read(self, tmp_path: Path) -> None:
        cache = GraphCache(tmp_path, most=100)
        cache.store(KEY, BLOB)
        assert cache.load(KEY) is None

    def test_threads_and_processes_may_share_it(self, tmp_path: Path) -> None:
        blobs = {f"{i:064x}": random.Random(i).randbytes(20_000) for i in range(5)}
        caches = [GraphCache(tmp_path, most=70_000) for _ in range(3)]  # so that they remove each other's

        def work(number: int) -> bool:
            key = f"{number % 5:064x}"
            cache = caches[number % 3]
            if number % 2:
                cache.store(key, blobs[key])
            return cache.load(key) in (None, blobs[key])

        with ThreadPoolExecutor(6) as pool:
            assert all(pool.map(work, range(90)))
        assert not list(tmp_path.glob("*.part*"))

    @posix
    def test_a_folder_that_others_may_write_to(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        found = user_cache()
        assert found is not None and found.folder == folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        folder.chmod(0o777)
        assert user_cache() is None and user_cache() is None
        assert ["others own this folder" in one.message for one in caplog.records] == [True]
        folder.chmod(0o770)
        assert user_cache() is not None

    @posix
    def test_a_folder_of_somebody_else(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert user_cache() is not None
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert user_cache() is None


class TestTheGraphs:
    """The cache as compiling uses it."""

    @pytest.fixture
    def path(self, make_model: MakeModel) -> Path:
        return find_model(make_model(adaptive=False)).file("base")

    @staticmethod
    def run(path: Path, **options: Any) -> np.ndarray:
        lr = np.ascontiguousarray(made_photo(20, 27).transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        (sr,) = compile_graph(path, 1, **options)({"lr": lr})
        return sr

    @pytest.fixture
    def compiled(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        """Grows with every graph that is compiled, not taken from the cache."""
        done: list[Path] = []
        adjusted: Callable[..., Any] = openvino._adjusted
        monkeypatch.setattr(openvino, "_adjusted", lambda *given: (done.append(Path()), adjusted(*given))[1])
        return done

    def test_a_graph_is_compiled_once(self, folder: Path, path: Path, compiled: list[Path]) -> None:
        first = self.run(path)
        assert (self.run(path) == first).all() and len(compiled) == 1
        assert len(list(folder.iterdir())) == 1

    def test_damage_is_compiled_anew_and_mended(
        self, folder: Path, path: Path, compiled: list[Path], caplog: pytest.LogCaptureFixture
    ) -> None:
        expected = self.run(path)
        file, rng = only_file(folder), random.Random(2)
        sound = file.read_bytes()
        for place in [*rng.sample(range(len(sound)), 12), 0, len(sound) - 1]:
            damaged = bytearray(sound)
            damaged[place] ^= 0xFF
            file.write_bytes(damaged)
            assert (self.run(path) == expected).all()
            assert (self.run(path) == expected).all()
        assert len(compiled) == 1 + 14, "what is damaged is replaced"
        assert ["damaged" in one.message for one in caplog.records] == [True] * 14

    def test_what_a_compiled_graph_depends_on(
        self, folder: Path, path: Path, compiled: list[Path], tmp_path: Path
    ) -> None:
        self.run(path)
        same = tmp_path / "copy.onnx"
        same.write_bytes(path.read_bytes())
        self.run(same)
        assert len(compiled) == 1, "wherever the graph lies"
        self.run(path, interleaved=["sr"])
        compile_graph(path, 2)
        assert len(compiled) == 3

    @pytest.mark.parametrize("change", ["cpu", "version", "graph"])
    def test_another(
        self, folder: Path, path: Path, compiled: list[Path], monkeypatch: pytest.MonkeyPatch, change: str
    ) -> None:
        before = self.run(path)
        if change == "cpu":
            monkeypatch.setattr(openvino, "cpu_features", lambda: frozenset({"other"}))
        elif change == "version":
            monkeypatch.setattr(openvino, "version", lambda package: "0")
        else:
            graph = onnx.load(path)
            weight = next(one for one in graph.graph.initializer if len(one.raw_data) > 100)
            weight.raw_data = bytes(len(weight.raw_data))
            onnx.save(graph, path)
        after = self.run(path)
        assert len(compiled) == 2 and (after == before).all() == (change != "graph")

    @pytest.mark.parametrize("suffix", [".onnx", ".xml"])
    def test_a_file_that_is_replaced_while_it_is_compiled(
        self, folder: Path, path: Path, suffix: str, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is kept under a graph's digest is that graph, whichever of the two was compiled now."""
        other = find_model(make_model("other", adaptive=False, seed=1)).file("base")
        graphs = [
            with_int8(one.parent) / ("base.onnx" if suffix == ".onnx" else "int8.xml")
            for one in (path, other)
        ]
        files = [file for file in graphs[0].parent.iterdir() if file.suffix in (suffix, ".bin")]
        expected = [self.run(graph, cache=False) for graph in graphs]
        first = [file.read_bytes() for file in files]
        adjusted: Callable[..., Any] = openvino._adjusted

        def replaced(*given: Any) -> Any:
            for file in files:
                file.write_bytes((other.parent / file.name).read_bytes())
            return adjusted(*given)

        monkeypatch.setattr(openvino, "_adjusted", replaced)
        self.run(graphs[0])
        monkeypatch.setattr(openvino, "_adjusted", adjusted)
        assert (self.run(graphs[0]) == expected[1]).all()
        for file, content in zip(files, first, strict=True):
            file.write_bytes(content)
        assert (self.run(graphs[0]) == expected[0]).all()

    def test_inputs_without_use_stay(self, folder: Path, tmp_path: Path) -> None:
        path = write_onnx(tmp_path / "two.onnx", inputs=2)
        for _ in range(2):
            assert compile_graph(path, 1).inputs == [{"in0"}, {"in1"}]

    def test_weights_in_other_files_are_not_kept(
        self, folder: Path, path: Path, compiled: list[Path], tmp_path: Path
    ) -> None:
        """Their content is in no digest, so another graph could be taken for this one."""
        graph, place = onnx.load(path), tmp_path / "apart.onnx"
        onnx.save(graph, place, save_as_external_data=True, location="weights.data", size_threshold=0)
        first = self.run(place)
        assert (first == self.run(path)).all() and len(list(folder.iterdir())) == 1  # of the whole one
        weights = tmp_path / "weights.data"
        weights.write_bytes(bytes(weights.stat().st_size))
        assert (self.run(place) != first).any() and len(compiled) == 3

    def test_what_openvino_refuses_is_compiled_anew(
        self, folder: Path, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        expected = self.run(path)
        key = only_file(folder).stem
        GraphCache(folder).store(key, b"sound, but no graph")
        assert (self.run(path) == expected).all()
        assert ["compiled anew" in one.message for one in caplog.records] == [True]

    def test_a_full_disk_is_no_error(
        self, folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def full(path: Path) -> Any:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(cache_module, "atomic_path", full)
        caplog.set_level(logging.WARNING)
        assert self.run(path).shape == (1, 3, 80, 108) and not caplog.records

    def test_processes_that_begin_at_once(self, folder: Path, make_model: MakeModel) -> None:
        model = make_model(adaptive=False)
        code = (
            "import sys; import numpy as np; from blindsr.upscaling.upscaler import Upscaler;"
            "photo = np.arange(30 * 40 * 3, dtype=np.uint8).reshape(30, 40, 3);"
            "sys.stdout.buffer.write(Upscaler(sys.argv[1], device='cpu', threads=1).upscale(photo).tobytes())"
        )
        with ExitStack() as stack:
            runs = [stack.enter_context(started(sys.executable, "-c", code, model)) for _ in range(3)]
            results = [run.communicate() for run in runs]
        assert len({out for out, _ in results}) == 1 and results[0][0]
        assert [error for _, error in results] == [b""] * 3
        assert [file.suffix for file in folder.iterdir()] == [".blob"]


def test_a_folded_graph_is_never_kept(folder: Path, make_model: MakeModel) -> None:
    engine = OpenVINOEngine(find_model(make_model()), threads=1, fold=True)
    lr = np.zeros((1, 3, 8, 8), np.float32)
    engine.upscale(lr, np.ones((1, 12), np.float32))
    assert not folder.exists() or not list(folder.iterdir())
