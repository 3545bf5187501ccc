"""The configuration of a training run: one strict schema, read from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from blindsr.errors import ConfigError
from blindsr.system.files import read_whole
from blindsr.system.nearest import nearest
from blindsr.system.untrusted import brief, shorten

_DEEPEST = 32  # of sections within sections
_MOST_ENTRIES = 100_000


class Section(BaseModel):
    """A part of the configuration: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSection(Section):
    """Where HR patches come from and how they are degraded."""

    photos: Path
    """Folder of sharp photos."""
    cache: Path = Path(".cache/photos")
    """Folder for their decoded pixels."""
    holdout: int = Field(8, ge=0)
    """So many photos, evenly spread over the sorted list, are for validation alone."""
    degradations: str | dict[str, Any] = "paper"
    """Name of a degradation space, or its ranges."""
    scale: int = Field(4, ge=2, le=4)
    tasks: int = Field(8, ge=2)
    """T: degradations in a batch."""
    support: int = Field(20, ge=1)
    """n: patches in a support set; a task has two."""
    restored: int = Field(20, ge=1)
    """Patches of each support set that the BaseNet restores."""
    patch: int = Field(48, ge=8)
    """Side of an LR patch."""
    margin: int = Field(8, ge=0)
    """LR pixels of each patch that are cut off after the degradation."""
    single_photo: float = Field(0.5, ge=0, le=1)
    """Share of support sets cut from one photo."""
    photo_a_task: bool = False
    """Where a support set is cut from one photo, the other one of its task is cut from the same one."""
    neighbours: float = Field(0.0, ge=0, le=1)
    """Share of batches whose tasks come in pairs that differ in one factor alone (blur, noise or JPEG), each
    the other's negative."""
    workers: int = Field(0, ge=0)
    """Processes that draw batches; 0: the training process itself."""
    shrink: float = Field(1.0, gt=0, le=1)
    """HR patches are cut up to so many times larger and shrunk to their size: sharper than the photos are."""
    degrade: Literal["auto", "each", "batched"] = "auto"
    """How patches are degraded: task by task ("each"), or all in one go ("batched"), which gives the same
    patches and is faster on a GPU and slower on a CPU. "auto" knows which."""


class CropSection(Section):
    """Where the batches of Cria-CL come from: photos to be degraded, or real pairs."""

    photos: Path | None = None
    """Folder of sharp photos ..."""
    degradations: str | dict[str, Any] | list[str | dict[str, Any]] = "real-esrgan"
    """... degraded by tasks of this space, by name or by its ranges; of several, in turn by chance."""
    pairs: str | None = None
    """Instead: pairs, of a data set known by name (below `root`), or of a folder with HR/ and LR/."""
    root: Path = Path("data")
    cache: Path = Path(".cache/photos")
    """Folder for decoded pixels."""
    holdout: int = Field(8, ge=0)
    """So many photos or pairs, evenly spread over the sorted list, are for validation alone."""
    scale: int = Field(4, ge=1, le=4)
    batch: int = Field(16, ge=1)
    patch: int = Field(48, ge=8)
    """Side of an LR patch."""
    margin: int = Field(8, ge=0)
    """Photos: LR pixels of each patch that are cut off after the degradation."""
    group: int = Field(1, ge=1)
    """Photos: so many patches of a batch share a degradation."""
    workers: int = Field(0, ge=0)
    """Processes that draw batches; 0: the training process itself."""
    shrink: float = Field(1.0, gt=0, le=1)
    """Photos: see `DataSection.shrink`."""
    degrade: Literal["auto", "each", "batched"] = "auto"
    """Photos: see `DataSection.degrade`; "batched" needs a pool."""
    pool: int = Field(0, ge=0)
    """Photos: so many degraded patches are kept on the training device, and batches are drawn from them; the
    oldest make room for new ones. 0: every batch is degraded for itself."""
    reuse: float = Field(4.0, ge=1)
    """How often a patch of the pool is used, on average; at another place and in another pose each time."""

    @model_validator(mode="after")
    def _one_source(self) -> CropSection:
        if (self.photos is None) == (self.pairs is None):
            raise ValueError("give photos (to be degraded) or pairs, one of the two")
        if self.pool and self.pairs is not None:
            raise ValueError("a pool is of degraded photos, not of pairs")
        if self.degrade == "batched" and not self.pool:
            raise ValueError("degrade: batched needs a pool here, say pool: 1024")
        _check_pool(self.pool, self.group, self.batch)
        return self


def _check_pool(pool: int, group: int, batch: int) -> None:
    """Refuse a pool, if there is one, that is not of whole groups or smaller than a batch."""
    if pool and (pool % group or pool < batch):
        raise ValueError(f"a pool of {pool} is not of whole groups of {group}, or holds no batch of {batch}")


class OptimiserSection(Section):
    """Adam, and how its learning rate moves."""

    lr: float = Field(1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["multistep", "cosine", "stable"] = "multistep"
    milestones: tuple[float, ...] = (0.5, 0.9)
    """multistep: at these fractions of the run ..."""
    gamma: float = Field(0.1, gt=0, le=1)
    """... the rate is multiplied by this."""
    warmup: int = Field(0, ge=0)
    """Steps, from `after` on, over which the rate rises from zero."""
    floor: float = Field(0.01, ge=0, le=1)
    """cosine, stable: the last rate, as a fraction of the first."""
    decay: float = Field(0.2, gt=0, le=1)
    """stable: the rate stays as it is and falls in a straight line over this last share of the run. What was
    reached before it falls is a trunk that other runs can go on from."""
    clip: float | None = Field(None, gt=0)
    """Greatest norm of the gradient."""
    after: int = Field(0, ge=0)
    """So many steps at the start leave these weights as they are."""


class LossSection(Section):
    """Weights of the criteria. Pixel differences are in levels of 255, whatever the network's range."""

    structural: float = Field(0.0, ge=0)
    """Weight of 1 - SSIM beside the L1 loss, which has weight 1."""
    condition_every: int = Field(10, ge=1)
    """The ConditionNet is updated every so many steps ..."""
    contrastive: float = Field(1.0, ge=0)
    """... with this weight of the task contrastive loss ..."""
    condition_pixel: float = Field(0.1, ge=0)
    """... this of what the BaseNet is trained by ..."""
    regression: float = Field(0.0, ge=0)
    """... and this of reading the task from its condition, by a linear layer that is not kept."""
    halves: Literal["together", "in_turn"] = "together"
    """Recipe cmdsr: the two support sets of the tasks are restored in one step, whose gradient is their mean.
    Or "in_turn", in two steps; before every `condition_every` of them comes one of the ConditionNet alone."""
    distance: Literal["whole", "channel"] = "whole"
    """Of two conditions in the task contrastive loss: between them, or channel by channel."""

    @model_validator(mode="after")
    def _whole_batches(self) -> LossSection:
        if self.halves == "in_turn" and self.condition_every % 2:
            raise ValueError(
                f"condition_every: {self.condition_every} is odd; with halves: in_turn it counts whole "
                "batches, two steps each"
            )
        return self


class FeatureSection(Section):
    """The features that the perceptual criteria compare."""

    network: Literal["vgg19", "squeezenet", "discriminator"] = "vgg19"
    """"discriminator": the discriminator's own, where no other weights are at hand."""
    weights: Path | None = None
    """File of its weights; None: torchvision's, where that is installed."""
    layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_1")


class ContrastSection(Section):
    """What the criteria are contrasted with."""

    regression: Literal["structure", "frozen"] = "structure"
    """What the pixel criterion alone makes of a photo: the structure view (its gradient stopped), or what the
    network of the end of the first stage makes of it."""


class TeacherSection(Section):
    """A larger network, trained already, whose restorations of damaged patches are a target beside the truth.

    The criteria that are to follow it say how far, by a key `teacher`.
    """

    weights: Path
    """File of its weights: one of our checkpoints, or an official one of Cria-CL or ESRGAN."""
    clean: float = Field(0.1, ge=0, le=1)
    """Up to this damage (see `blindsr.degradation.damage`) a patch is judged by the truth alone ..."""
    damaged: float = Field(0.6, ge=0, le=1)
    """... and from this one on as far by the teacher as a criterion says; in between its share rises."""
    kept: Path | None = None
    """Folder that keeps what it makes of patches, so that a run that is resumed or repeated need not run it
    again. For a pool whose patches stay (a large `data.reuse`): every patch is a file's worth."""

    @model_validator(mode="after")
    def _rises(self) -> TeacherSection:
        if self.clean >= self.damaged:
            raise ValueError(f"clean {self.clean:g} must be less than damaged {self.damaged:g}")
        return self


class ValidationSection(Section):
    """What is measured on the photos held out."""

    every: int = Field(5000, ge=1)
    crop: int = Field(256, ge=32)
    """Side of the central HR crop."""
    degradations: tuple[str, ...] = (
        "blur=0.2",
        "blur=1.3",
        "blur=2.6",
        "blur=1.3,noise=15",
        "blur=2.6,noise=30",
    )


class TrainConfig(Section):
    """What every training run has; the recipes add to it."""

    name: str = Field(pattern=r"^\w[\w .+-]{0,99}$")
    """What the run's folder is called, below runs/."""
    recipe: str
    seed: int = 0
    steps: int = Field(1_000_000, ge=1)
    """Length of the run. With `minutes` it says only what the schedules mean by a step: `warmup`, `after`."""
    minutes: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Length of the run by the clock, loading included, however fast it is: schedules move by the share of
    the rest that is gone."""
    reserve: float = Field(25.0, ge=0, allow_inf_nan=False, validate_default=True)
    """minutes: so many seconds before their end the last step is done, and all files are written after it."""
    init: str | None = None
    """Weights to start from: a checkpoint, a state, or a model's name or folder; None: random ones."""
    network: dict[str, Any]
    """Hyper-parameters for `blindsr.network.build_network`."""
    optimiser: OptimiserSection = OptimiserSection()
    validation: ValidationSection = ValidationSection()
    ema: float = Field(0.999, ge=0, lt=1)
    """Decay of the averaged weights; 0 keeps no average."""
    checkpoint_every: int = Field(5000, ge=1)
    """Steps between the checkpoints that are kept (step-*.ckpt)."""
    checkpoint_seconds: float = Field(25.0, gt=0)
    """Seconds after which latest.ckpt is written anew: a run that is killed loses no more."""
    state_seconds: float | None = Field(None, gt=0)
    """Seconds after which a run's state, if it has one, is written anew; None: at its end alone. With a
    "stable" schedule it is not written again once the rate falls."""
    log_every: int = Field(100, ge=1)
    keep: int = Field(3, ge=1)
    """So many of the checkpoints by steps are kept."""
    accelerator: str = "auto"
    devices: int | str = 1
    """Of this machine; under torchrun there are as many processes as it starts, here and elsewhere."""
    shards: int | None = Field(None, ge=1)
    """Batches in a step, whose gradients are averaged. The processes of a run share them out: a run is the
    same, but for rounding, on however many. None: a batch for each process."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """"auto": bfloat16 where the processor or the card computes it natively, single precision elsewhere."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; None leaves the choice to PyTorch."""
    channels_last: bool = True
    keep_memory: bool = True
    """On a CPU: what a step frees stays with the process (see `blindsr.training.allocator`)."""
    graphs: bool = True
    """On a CUDA device: each kind of step is recorded once and replayed, one launch instead of thousands."""
    compile: bool = False
    """Let PyTorch compile the networks and criteria; pays on a GPU, after a minute of compiling."""

    @field_validator("reserve")
    @classmethod
    def _leaves_time(cls, reserve: float, info: ValidationInfo) -> float:
        minutes = info.data.get("minutes")
        if minutes is not None and reserve >= 60 * minutes:
            raise ValueError(f"{reserve:g} seconds of {minutes:g} minutes leave none to train in")
        return reserve


class CMDSRConfig(TrainConfig):
    """A training run of CMDSR."""

    recipe: Literal["cmdsr"] = "cmdsr"
    data: DataSection
    condition_optimiser: OptimiserSection = OptimiserSection(gamma=0.5)
    loss: LossSection = LossSection()
    equalised: bool = False
    """The BaseNet's convolutions begin as N(0, 1) over the square root of their inputs, without bias, and the
    learning rate of their weights is divided by that root: they learn as if N(0, 1) were stored and divided
    whenever they run (equalised learning rate, arXiv 1710.10196)."""


class PhaseSection(Section):
    """A part of a run of recipe distilled."""

    name: str
    """What logs call it."""
    until: float = Field(gt=0, le=1)
    """The share of the run at which it ends."""
    trains: tuple[Literal["oracle", "basenet", "condition"], ...] = Field(min_length=1)
    """What learns in it."""
    feeds: Literal["oracle", "own", "both"] | None = None
    """By which conditions the BaseNet restores: the oracle's, those that the ConditionNet reads, or for one
    half of the support sets these and for the other half those. Nothing: the BaseNet does not run."""
    tasks: int | None = Field(None, ge=2)
    """Batches of another shape than `data` has, and the next two likewise."""
    support: int | None = Field(None, ge=1)
    restored: int | None = Field(None, ge=1)


class DistilledLossSection(LossSection):
    """Weights of the criteria, with one more."""

    imitation: float = Field(1.0, ge=0)
    """Weight of the ConditionNet's distance from the oracle, see `blindsr.loss.imitation`."""


class DistilledConfig(CMDSRConfig):
    """A training run of CMDSR in phases, with an oracle."""

    recipe: Literal["distilled"]  # type: ignore[assignment]
    oracle_optimiser: OptimiserSection = OptimiserSection(lr=1e-3, schedule="cosine")
    """Each schedule spans the phases from the first that trains its group to the last."""
    loss: DistilledLossSection = DistilledLossSection()
    phases: tuple[PhaseSection, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _in_order(self) -> DistilledConfig:
        if self.loss.halves != "together":
            raise ValueError("loss: halves in turn are for recipe cmdsr")
        ends = [phase.until for phase in self.phases]
        names = {phase.name for phase in self.phases}
        if ends != sorted(set(ends)) or ends[-1] != 1 or len(names) < len(ends):
            raise ValueError("phases: each has its own name and ends after the one before, the last at 1")
        for phase in self.phases:
            if phase.feeds is None and phase.trains != ("condition",):
                raise ValueError(f"phases: {phase.name} feeds nothing, so it can train the condition alone")
        return self


class CriteriaConfig(TrainConfig):
    """A training run judged by criteria: a first stage of pixel criteria alone, a second one of all."""

    data: CropSection | DataSection
    pixel_steps: int = Field(0, ge=0)
    """Length of the first stage. The learning rate of each stage moves as `optimiser` and `texture_optimiser`
    say, each over the steps of its own stage."""
    criteria: tuple[dict[str, Any], ...]
    """One mapping a criterion: `name`, `weight`, `view`, `polarity`, `stage`, `teacher` (how far a damaged
    patch is judged by the teacher's image, 0 to 1), and arguments of its own (see `blindsr.loss`)."""
    features: FeatureSection = FeatureSection()
    contrast: ContrastSection = ContrastSection()
    teacher: TeacherSection | None = None
    """Needs a pool (`data.pool`): what it makes of a patch is kept there, and used as often as the patch."""
    discriminator: dict[str, Any] | None = None
    """Hyper-parameters for `blindsr.network.build_discriminator`; for the adversarial criterion."""
    texture_optimiser: OptimiserSection = OptimiserSection()
    discriminator_optimiser: OptimiserSection = OptimiserSection()

    @model_validator(mode="after")
    def _teacher_has_a_pool(self) -> CriteriaConfig:
        if self.teacher is not None and not getattr(self.data, "pool", 0):
            raise ValueError(
                "teacher: needs a pool, where what it makes of a patch is kept; say data.pool: 1024"
            )
        return self


class CriaConfig(CriteriaConfig):
    """A training run of Cria-CL."""

    recipe: Literal["cria"]
    data: CropSection


class UnifiedSection(DataSection):
    """Where the batches of the unified network come from: as CMDSR's, and tasks may be of any kind."""

    degradations: str | dict[str, Any] | list[str | dict[str, Any]] = "real"  # type: ignore[assignment]
    """Name of a degradation space, or its ranges; of several, in turn by chance."""
    neighbours: Literal[0] = 0
    pool: int = Field(0, ge=0)
    """So many tasks with the patches of their support sets, degraded, are kept on the training device, and
    batches are drawn from them; the oldest make room for new ones. 0: every batch is degraded for itself,
    which `degrade: batched` can do only where all tasks are of one stage."""
    group: int = Field(8, ge=1)
    """So many tasks, of one kind, are degraded together into the pool."""
    reuse: float = Field(4.0, ge=1)
    """How often a task of the pool is used, on average: at another place and in another pose each time."""

    @model_validator(mode="after")
    def _whole_pool(self) -> UnifiedSection:
        _check_pool(self.pool, self.group, self.tasks)
        if self.restored > self.support:
            raise ValueError(f"restored: {self.restored} of {self.support} patches of a support set")
        return self


class UnifiedConfig(CriteriaConfig):
    """A training run of both systems in one network."""

    recipe: Literal["unified"]
    data: UnifiedSection
    init_condition: str | None = None
    """Where `init` is a network that does not adapt: weights of a ConditionNet, as `init` names them."""
    condition_optimiser: OptimiserSection = OptimiserSection()
    """The ConditionNet's, over the whole run."""
    loss: LossSection = LossSection(condition_every=1)
    """What the ConditionNet is trained by: its own loss, and a share of what the criteria make of it."""

    @model_validator(mode="after")
    def _no_more(self) -> UnifiedConfig:
        if self.loss.structural or self.loss.regression:
            raise ValueError("loss: structural is a criterion here, and not all tasks have a regression")
        if self.loss.halves != "together":
            raise ValueError("loss: halves in turn are for recipe cmdsr")
        return self


CONFIGS: dict[str, type[TrainConfig]] = {
    "cmdsr": CMDSRConfig,
    "cria": CriaConfig,
    "distilled": DistilledConfig,
    "unified": UnifiedConfig,
}


def load_config(path: Path, overrides: list[str] | None = None) -> TrainConfig:
    """Read a configuration and apply overrides to it.

    Args:
        path: YAML file.
        overrides: "key=value" strings; a dot goes into a section ("data.tasks=4"), the value is YAML.

    Raises:
        ConfigError: The file cannot be read, a key is unknown (the nearest right one is named), or a value
            does not fit.
    """
    try:
        content = _parse_yaml(read_whole(path).decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not YAML that is read here: {brief(error)}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a configuration is a mapping of keys to values")
    for override in overrides or []:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: write it as key=value")
        section = content
        *parents, last = key.strip().split(".")
        for parent in parents:
            if not isinstance(section.setdefault(parent, {}), dict):
                raise ConfigError(f"--set {override}: {parent} is a value, not a section")
            section = section[parent]
        try:
            section[last] = _parse_yaml(value)
        except ValueError as error:
            raise ConfigError(f"--set {override[:80]}: the value is not YAML ({brief(error)})") from None
    return parse_config(content, str(path))


def _parse_yaml(text: str) -> Any:  # noqa: ANN401  (whatever YAML can hold)
    """What a YAML document holds. Aliases can stand for more than any memory, or for themselves.

    Raises:
        ValueError: It is none, holds too much or is nested too deeply, or has a number or a date that Python
            has not.
    """
    try:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):  # which does not recurse, as the next steps do
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ValueError("nested too deeply")
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {})
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(brief(error)) from None


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Entries and depth of a part of a YAML document, with every alias written out.

    An alias means something before it: `known` has it already, or it is what the alias lies in.

    Raises:
        ValueError: They are too many, or it is nested too deeply, or for ever.
    """
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            raise ValueError("an alias of what it lies in")
        return measured
    known[id(node)] = None
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        inner = node.value
    elif isinstance(node, yaml.MappingNode):
        inner = [one for pair in node.value for one in pair]
    parts = [_measure(one, known) for one in inner]
    entries, depth = 1 + sum(part[0] for part in parts), 1 + max((part[1] for part in parts), default=0)
    if entries > _MOST_ENTRIES or depth > _DEEPEST:
        raise ValueError("too many entries, or nested too deeply")
    known[id(node)] = entries, depth
    return entries, depth


def parse_config(content: dict[str, Any], where: str) -> TrainConfig:
    """Check a configuration that was read from `where`.

    Raises:
        ConfigError: One line with every fault found.
    """
    recipe = content.get("recipe", "cmdsr")
    if not isinstance(recipe, str) or recipe not in CONFIGS:
        raise ConfigError(f"{where}: recipe: {shorten(recipe)} is not one of {', '.join(CONFIGS)}")
    try:
        return CONFIGS[recipe].model_validate(content)
    except ValidationError as error:
        faults = [_fault(fault, CONFIGS[recipe]) for fault in error.errors()]
        raise ConfigError(f"{where}: {'; '.join(faults)}") from None


def _fault(fault: ErrorDetails, section: type[BaseModel]) -> str:
    location = [str(part) for part in fault["loc"]]
    key = ".".join(location)
    if fault["type"] != "extra_forbidden":
        return f"{key}: {fault['msg'].removeprefix('Value error, ').lower()}"
    for part in location[:-1]:
        field = section.model_fields.get(part)
        annotation = None if field is None else field.annotation
        kinds = get_args(annotation) or (annotation,)  # of a section that may be left out: itself, and None
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if len(inner) != 1:
            return f"{key}: unknown key; there is no such key"
        section = inner[0]
    close = nearest(location[-1], section.model_fields)
    hint = f"did you mean {'.'.join([*location[:-1], close[0]])!r}?" if close else "there is no such key"
    return f"{key}: unknown key; {hint}"
