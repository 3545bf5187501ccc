"""Train on a bare machine that is rented by the minute: pack here what it lacks, and run there.

    python benchmarks/minutes.py pack configs/gpu/cmdsr_x4_distilled.yaml --photos my/photos
    python3 benchmarks/minutes.py run .gpu --minutes 9 --out out

The first makes a folder, .gpu: the photos, re-encoded so that they fit, the recipe, what the run starts from,
and wheels of what such a machine lacks. It travels with the repository, which need not be installed there.

The second needs nothing there but PyTorch and Lightning. It looks whether all has come whole, installs what
is missing beside everything else, tries for some seconds which batch is fastest, trains to the end of its
time, counted from its own start, and validates. What it leaves in `--out`: the state that a later run goes
on from (an .npz and the .json beside it; no older than half a minute whenever the run is killed, save that a
recipe whose rate falls at the end keeps the one from before), weights.ckpt, and log.jsonl.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a bare machine has to install things before it can import them
    from blindsr.training import Progress

STARTED = time.monotonic()
MANIFEST, RECIPE = "manifest.json", "recipe.yaml"
LACKS = ("pydantic", "pillow")
"""What a machine for training may be without: the first it is, the second may be too old to read AVIF."""
LARGEST = 16 * 2**20
"""Bytes of a file that come back from a rented machine."""
LEAST = 1.0
"""Seconds of training without which a run is not worth beginning."""
COUNTING = 5.0
"""Seconds that must be left for counting what a step computes."""
MATRIX = 8192  # side of the matrices that a GPU's peak is measured with


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(required=True, metavar="pack|run")
    pack = commands.add_parser("pack", help="make the folder that travels")
    pack.set_defaults(command=_pack)
    pack.add_argument("config", type=Path, help="a configuration of `blindsr train`")
    pack.add_argument("--photos", type=Path, help="folder of sharp photos; else the configuration's")
    pack.add_argument("--state", type=Path, help="state (.npz) that the run is to go on from")
    pack.add_argument("--features", type=Path, help="weights of VGG-19, where the criteria need it")
    pack.add_argument("-o", "--out", type=Path, default=Path(".gpu"), help="the folder (.gpu)")
    pack.add_argument("--most", default="33M", help="most that it may have (33M)")
    pack.add_argument("--python", default="3.12", help="Python of that machine (3.12)")
    pack.add_argument(
        "--lacks", nargs="*", default=LACKS, choices=LACKS, help="what may be missing there (pydantic pillow)"
    )
    pack.add_argument("--speed", type=int, default=8, help="of the AVIF encoder, 0 to 10 (8)")
    run = commands.add_parser("run", help="train there")
    run.set_defaults(command=_run)
    run.add_argument("folder", type=Path, help="what `pack` made")
    run.add_argument("--minutes", type=float, required=True, help="from the start to the end of the script")
    run.add_argument("--out", type=Path, required=True, help="folder for what is to be kept")
    run.add_argument("--tune", type=float, default=20.0, help="seconds to try sizes of batches for (20)")
    run.add_argument(
        "--keep", type=float, default=25.0, help="seconds after which the state is written anew (25)"
    )
    run.add_argument("--threads", type=int, help="CPU threads")
    run.add_argument("--state", type=Path, help="state to go on from; else the one in the folder")
    run.add_argument("--work", type=Path, help="folder for what is not to be kept; else a temporary one")
    for command in (pack, run):
        command.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting"
        )
    arguments = parser.parse_args()
    arguments.command(arguments)


def _pack(arguments: argparse.Namespace) -> None:
    from packing import pack

    from blindsr.errors import BlindSRError
    from blindsr.system.memory import read_bytes

    try:
        manifest = pack(
            arguments.config, arguments.out, read_bytes(arguments.most, "--most"), arguments.photos,
            arguments.state, arguments.features, arguments.python, arguments.lacks, arguments.set,
            arguments.speed,
        )  # fmt: skip
    except BlindSRError as error:
        raise SystemExit(f"error: {error}") from None
    sizes: dict[str, int] = {}
    for name, known in manifest["files"].items():
        sizes[name.split("/")[0]] = sizes.get(name.split("/")[0], 0) + known["bytes"]
    for kind, size in sizes.items():
        print(f"{kind:<16} {size / 2**20:7.2f} MiB")
    total = sum(file.stat().st_size for file in arguments.out.rglob("*") if file.is_file())
    print(f"{'in all':<16} {total / 2**20:7.2f} MiB in {arguments.out}")
    photos = manifest["photos"]
    print(f"{photos['count']} of {photos['given']} photos, {photos['avif']} of them as AVIF")
    if photos["quality"] is not None:
        worst = photos.get("least psnr", float("inf"))
        print(f"quality {photos['quality']}: {photos.get('psnr')} dB on average, {worst} dB at least")
    print(f"to run it: {manifest['command']}")


def _run(arguments: argparse.Namespace) -> None:
    end = STARTED + 60 * arguments.minutes
    manifest = verified(arguments.folder)
    _say(f"{arguments.folder}: whole, {len(manifest['files'])} files for {manifest['recipe']}")
    place = hashlib.sha256((arguments.folder / MANIFEST).read_bytes()).hexdigest()[:12]
    work: Path = arguments.work or Path(tempfile.gettempdir()) / f"blindsr-{place}"
    site = work / "site"
    source = Path(__file__).resolve().parents[1] / "src"
    sys.path[:0] = [str(site), str(source)]
    _install(arguments.folder, manifest, site)

    from blindsr.errors import BlindSRError

    try:
        _train(arguments, manifest["name"], work, end)
    except BlindSRError as error:
        raise SystemExit(f"error: {error}") from None
    _say("done")


def verified(folder: Path) -> dict[str, Any]:
    """The manifest of a pack, once it is certain that all files are there as they were packed, and no others.

    Raises:
        SystemExit: They are not.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{folder}: not a pack ({error})") from None
    there = {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()} - {MANIFEST}
    for name in sorted(there ^ manifest["files"].keys()):
        raise SystemExit(f"{folder / name}: {'not in the manifest' if name in there else 'is missing'}")
    for name, known in manifest["files"].items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != known["sha256"]:
            raise SystemExit(
                f"{folder / name}: not what was packed (another SHA-256); pack and send it again"
            )
    return manifest


def _install(folder: Path, manifest: dict[str, Any], site: Path) -> None:
    """Install the wheels of what is missing, where no other program sees them."""
    lacking = [name for name in manifest["wheels"] if not _has(name)]
    here = ".".join(platform.python_version_tuple()[:2])
    if manifest["wheels"] and here != manifest["python"]:
        _say(f"the wheels are for Python {manifest['python']}, this is {here}: uses what is installed")
        if lacking:
            raise SystemExit(f"{' and '.join(lacking)} would be missing; pack for --python {here}")
        return
    if not lacking:
        _say("nothing to install")
        return
    wheels = [str(folder / wheel) for name in lacking for wheel in manifest["wheels"][name]]
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--upgrade", "--target", str(site)]
    if subprocess.run([*command, *wheels]).returncode:
        raise SystemExit(f"{' and '.join(lacking)}: cannot be installed")
    importlib.invalidate_caches()
    _say(f"installed {' and '.join(lacking)}")


def _has(name: str) -> bool:
    if name != "pillow":
        return importlib.util.find_spec(name) is not None
    # Asked of another process: this one must not import a Pillow that is then replaced.
    check = "import sys; sys.path[:] = sys.argv[1:]; from PIL import features; assert features.check('avif')"
    return not subprocess.run([sys.executable, "-c", check, *sys.path], capture_output=True).returncode


class Follower(threading.Thread):
    """Copies a file when it comes, so that a run that is killed while it validates has left it.

    Args:
        source: What may come.
        target: Where it is to be.
    """

    def __init__(self, source: Path, target: Path) -> None:
        super().__init__(daemon=True)
        self.source, self.target = source, target

    def run(self) -> None:
        while not self.source.is_file():
            time.sleep(0.2)
        _copy(self.source, self.target)


class Log:
    """What a run tells: on the screen, and line by line in a file.

    Args:
        file: JSON, a line each.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.begun = 0.0  # when the first step began
        self.steps: dict[str, int] = {}  # by the part of the run
        self.seconds = 0.0
        self.first: Progress | None = None
        self.last: Progress | None = None
        self._before = 0

    def start(self, step: int) -> None:
        """The run begins with this step."""
        self._before = step

    def tell(self, now: Progress) -> None:
        """A report of the run."""
        taken = now.step - self._before
        if not self.begun:
            self.begun = time.monotonic() - taken * now.seconds_per_step
        self.steps[now.phase] = self.steps.get(now.phase, 0) + taken
        self.seconds += taken * now.seconds_per_step
        self._before, self.last = now.step, now
        losses = "  ".join(f"{name} {value:.4g}" for name, value in now.losses.items())
        where = f"{now.phase}, " if now.phase else ""
        _say(f"step {now.step} ({where}{now.share:.0%})  {losses}  {now.seconds_per_step:.3g} s/step")
        line: dict[str, Any] = {"step": now.step, "share": round(now.share, 4), "phase": now.phase}
        line |= {"patches": now.patches, "seconds": round(now.seconds_per_step, 4), "losses": now.losses}
        self.write(
            "progress", line | ({} if now.scores is None else {"psnr, ssim, bicubic": now.scores.rows})
        )

    def write(self, kind: str, content: Any) -> None:  # noqa: ANN401
        """Add a line, which is on the disk then."""
        line = {"kind": kind, "at": round(time.monotonic() - STARTED, 2), **content}
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _train(arguments: argparse.Namespace, name: str, work: Path, end: float) -> None:
    import torch
    from arithmetic import SIDE, matrix_peak
    from tuning import batch_of, decode, device_of, flops, parts, tune

    from blindsr.training import load_config, train
    from blindsr.training.precision import computes_in_bfloat16

    folder, out = arguments.folder, arguments.out
    out.mkdir(parents=True, exist_ok=True)
    config = load_config(folder / RECIPE, [*_places(folder, work), *arguments.set])
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    state, log = out / f"{name}.npz", Log(out / "log.jsonl")
    before = _brought(arguments.state or folder / "state.npz", state)
    log.start(before["step"])
    device = device_of(config)
    dtype = torch.bfloat16 if computes_in_bfloat16(config, device) else torch.float32
    peak = matrix_peak(device, dtype, side=MATRIX if device.type == "cuda" else SIDE)
    called = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    kind = str(dtype).removeprefix("torch.")
    _say(f"{device.type} {called}, PyTorch {torch.__version__}: {peak / 1e12:.3g} TFLOP/s in {kind}")
    decode(config)
    _say("photos decoded")
    config, trials = tune(config, arguments.tune, _say)
    batches = {phase: batch_of(config, phase) for phase, _ in parts(config)}
    chosen = ", ".join(f"{phase or 'the run'} {batch}" for phase, batch in batches.items())
    _say(f"chosen: batches of {chosen}; {'' if config.compile else 'not '}compiled")
    left = (end - time.monotonic()) / 60
    if 60 * left < config.reserve + LEAST:
        raise SystemExit(
            f"{60 * left:.0f} s are left, of which {config.reserve:.0f} are the reserve: too few"
        )
    log.write(
        "begun",
        {
            "device": called, "torch": torch.__version__, "peak": peak, "dtype": kind, "batches": batches,
            "compile": config.compile, "tried": [str(trial) for trial in trials], "from": before["step"],
        },
    )  # fmt: skip
    config = config.model_copy(update=_by_time(trials, left, arguments.keep, arguments.threads))
    _say(f"trains for {left:.2f} minutes, of which the last {config.reserve:.0f} s are kept for the end")
    run = work / "run"
    shutil.rmtree(run, ignore_errors=True)
    Follower(run / "weights.ckpt", out / "weights.ckpt").start()
    train(config, out=run, report=log.tell, state=state)

    _copy(run / "weights.ckpt", out / "weights.ckpt")
    _reached(log, before)
    for file in sorted(f for f in out.iterdir() if f.is_file()):
        size = file.stat().st_size
        _say(f"{file.name}: {size / 2**20:.2f} MiB{', TOO LARGE to come back' if size > LARGEST else ''}")
    if end - time.monotonic() > COUNTING:
        _computed(log, flops(config), peak)


def _places(folder: Path, work: Path) -> list[str]:
    """Where the recipe finds its files here, as overrides."""
    found = [f"data.photos={folder / 'photos'}", f"data.cache={work / 'cache'}"]
    for pattern, key in (
        ("init.[!j]*", "init"),
        ("init_condition.[!j]*", "init_condition"),
        ("features.*", "features.weights"),
        ("teacher.*", "teacher.weights"),
    ):
        found += [f"{key}={file}" for file in folder.glob(pattern)]
    return found


def _brought(source: Path, state: Path) -> dict[str, int]:
    """Put the state that the run goes on from where the run writes it; says where that is."""
    if state.is_file():
        _say(f"{state}: goes on from what is there")
    elif source.is_file():
        for suffix in (".json", ".npz"):
            _copy(source.with_suffix(suffix), state.with_suffix(suffix))
    else:
        return {"step": 0, "patches": 0}
    record = json.loads(state.with_suffix(".json").read_text(encoding="utf-8"))
    _say(f"goes on from step {record['step']}, after {record['patches']} patches")
    return {"step": record["step"], "patches": record["patches"]}


def _by_time(trials: list[Any], left: float, keep: float, threads: int | None) -> dict[str, Any]:
    """What of a configuration becomes a matter of seconds: when to log, to write the state, and to end."""
    step = min((trial.seconds for trial in trials), default=1.0)
    settings: dict[str, Any] = {"minutes": left, "state_seconds": keep, "checkpoint_every": 10**9}
    settings["checkpoint_seconds"] = 10**9  # the state is what lasts
    settings["log_every"] = max(1, round(2 / step))
    return settings | ({"threads": threads} if threads else {})


def _reached(log: Log, before: dict[str, int]) -> None:
    last = log.last
    if last is None:
        _say("not a step was logged")
        return
    patches = last.patches - before["patches"]
    line = {
        "seconds to the first step": round(log.begun - STARTED, 1),
        "seconds of steps": round(log.seconds, 1),
        "steps": last.step - before["step"], "steps by phase": log.steps, "restored patches": patches,
        "patches per second": round(patches / max(log.seconds, 1e-9), 1),
    }  # fmt: skip
    log.write("reached", line)
    _say("reached: " + "; ".join(f"{name} {value}" for name, value in line.items()))
    if last.scores is not None:
        print(last.scores, flush=True)


def _computed(log: Log, work_of: dict[str, float], peak: float) -> None:
    """Tell of the arithmetic, given what a step of each part takes."""
    rate = sum(work_of.get(phase, 0.0) * count for phase, count in log.steps.items()) / max(log.seconds, 1e-9)
    line = {"TFLOP/s": round(rate / 1e12, 4), "of the peak": round(rate / peak, 4)}
    line |= {
        f"GFLOP of a step, {phase or 'any'}": float(f"{work / 1e9:.4g}") for phase, work in work_of.items()
    }
    log.write("computed", line)
    _say("computed: " + "; ".join(f"{name} {value}" for name, value in line.items()))


def _copy(source: Path, target: Path) -> None:
    """Copy a file, wholly or not at all."""
    part = target.with_name(f"{target.name}.{threading.get_ident()}.part")
    shutil.copyfile(source, part)
    part.replace(target)


def _say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.modules["minutes"] = sys.modules["__main__"]  # for what imports it: one clock
    main()
