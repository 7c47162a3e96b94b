"""What to train, from a TOML file. No torch here.

A recipe names a model, its data and a list of stages. A stage starts from an earlier one (or from nothing) and leaves a
checkpoint of its own; INT4 stages leave a network for the engine as well.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from tlm.core.errors import InputError
from tlm.inputs.labelled import LabelledImages
from tlm.inputs.toml_files import read_toml
from tlm.scenario.checking import refuse_senseless
from tlm.training.architecture import MODELS, Architecture
from tlm.training.datasets import (
    FASHION_MNIST_DIRECTORY,
    Part,
    load_cifar100,
    load_fashion_mnist,
    load_image_folder,
)

RECIPES = Path(__file__).parent / "recipes"
"""Recipes that come with the package."""

STAGE_SUFFIXES = (".pt", ".npz", ".json", ".onnx")
"""Files that a stage may leave: its checkpoint; of an INT4 stage the network, its card, and the network as ONNX."""

FULL_TAPS = 9
"""Taps of a 3x3 kernel."""

Schedule = Literal["cubic", "stepwise"]
Number = TypeVar("Number", int, float)

_Positive = Annotated[float, Meta(gt=0.0)]
_Share = Annotated[float, Meta(ge=0.0, le=1.0)]
_Count = Annotated[int, Meta(ge=1)]


class Data(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which images."""

    kind: Literal["fashion_mnist", "cifar100", "image_folder"] = "fashion_mnist"
    """"image_folder": directories "train" and "test" in ``directory``, each with one directory of images per class."""
    directory: str = FASHION_MNIST_DIRECTORY
    size: _Count = 224
    """Side of the images of a folder, pixels."""
    train_images: _Count | None = None
    """Only the first ones, this many; default all."""
    test_images: _Count | None = None

    def load(self, part: Part, directory: str | None = None) -> LabelledImages:
        """The images of a part.

        Args:
            part: which.
            directory: instead of the recipe's.

        Raises:
            InputError: unreadable files.
        """
        where = directory or self.directory
        if self.kind == "image_folder":
            images = load_image_folder(Path(where) / part, self.size)
        else:
            images = (load_fashion_mnist if self.kind == "fashion_mnist" else load_cifar100)(where, part)
        return images.first(self.train_images if part == "train" else self.test_images)


class Stage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One training run."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_\-]+$")]
    kind: Literal["float", "int4"]
    """"float": FP32, with pruning if ``taps`` or ``shifts`` say so; "int4": dynamic quantization [A]."""
    start: str | None = None
    """Name of the earlier stage whose network this one goes on with; an "int4" stage starts from a "float" one."""
    weights_file: str | None = None
    """A file of trained FP32 weights that a first stage starts from (docs/training.md has the format)."""
    epochs: Annotated[float, Meta(ge=0.0)] = 1.0
    """0: nothing is trained, and what the stage prunes goes at once; for weights that are trained already."""
    rate: _Positive = 0.1
    """Highest learning rate of the one-cycle schedule."""
    taps: Annotated[int, Meta(ge=1, le=9)] | None = None
    """Taps that each channel of a depth-wise kernel has left at the end of this stage."""
    word_density: _Share | None = None
    """Prune the weight words (input channel x tap x 32 output channels) of each convolution to this share."""
    density: _Share | None = None
    """Prune the single weights of each convolution to this share (unstructured)."""
    shifts: _Share | None = None
    """Prune the learned shifts to this share of the channels in the course of this stage."""
    schedule: Schedule = "cubic"
    """How fast the taps or the density fall."""
    prune_until: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.6
    """Share of the stage after which pruning is done; the rest only retrains."""
    weight_decay: Annotated[float, Meta(ge=0.0)] = 5e-4
    shift_penalty: Annotated[float, Meta(ge=0.0)] = 0.0
    """Weight in the loss of the learned shifts' magnitudes."""


class Recipe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole training."""

    description: str = ""
    model: str
    seed: Annotated[int, Meta(ge=0)] = 0
    threads: _Count = 1
    """Of torch; sums of floats, so results, may differ with another number."""
    batch: _Count = 256
    label_smoothing: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.05
    checkpoint_steps: _Count = 100
    """So many steps may be lost when training is interrupted."""
    data: Data = msgspec.field(default_factory=Data)
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1)]

    def architecture(self) -> Architecture:
        """The model's layers."""
        return MODELS[self.model]()

    def stage(self, name: str) -> Stage:
        """The stage of a name that :func:`load_recipe` has found to exist."""
        return next(stage for stage in self.stages if stage.name == name)

    def chain(self, stage: Stage) -> list[Stage]:
        """The stages that lead to one, itself the last."""
        found = [stage]
        while found[0].start is not None:
            found.insert(0, self.stage(found[0].start))
        return found

    def left(self, stage: Stage | None, key: str, unpruned: Number) -> Number:
        """What pruning has left when a stage is done, or before any: a key of a stage that prunes, such as "taps"."""
        for one in reversed(self.chain(stage) if stage else []):
            value: Number | None = getattr(one, key)
            if value is not None:
                return value
        return unpruned

    def has_densities(self, stage: Stage) -> bool:
        """Whether convolutions are pruned in a stage or before it."""
        return any(one.word_density is not None or one.density is not None for one in self.chain(stage))

    def digest(self) -> str:
        """Differs if anything in the recipe does; new keys that it does not use change nothing."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]


def require_torch() -> None:
    """Say what to install where torch is missing.

    Raises:
        InputError: torch cannot be imported.
    """
    if find_spec("torch") is None:
        raise InputError("training needs torch, which is not installed; pip install 'cartesian-tlm[train]'")


def load_recipe(text: str) -> Recipe:
    """A recipe from a file, or one of the package's by its name.

    Raises:
        InputError: no such file, unknown keys or values, stages that do not follow each other.
    """
    path = Path(text) if text.endswith(".toml") else RECIPES / f"{text}.toml"
    try:
        table = read_toml(path)[1]
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise InputError(f"{text}: no such recipe; give a .toml file or one of {known}") from None
    try:
        recipe = msgspec.convert(table, Recipe)
        refuse_senseless(table)
        _check(recipe)
    except (msgspec.ValidationError, InputError) as error:
        raise InputError(f"{path}: {error}") from None
    return recipe


def _check(recipe: Recipe) -> None:
    if recipe.model not in MODELS:
        raise InputError(f"model: {recipe.model!r} is not known; give one of {', '.join(MODELS)}")
    if recipe.data.kind != "image_folder" and recipe.data.size != Data().size:
        raise InputError(f'data.size: belongs to kind = "image_folder", not to {recipe.data.kind!r}; leave it out')
    kinds: dict[str, str] = {}
    for index, stage in enumerate(recipe.stages):
        where = f"stages[{index}]"
        if stage.name in kinds:
            raise InputError(f"{where}.name: {stage.name!r} is used twice; names must be unique")
        if stage.start is not None and kinds.get(stage.start) != "float":
            floats = [name for name, kind in kinds.items() if kind == "float"]
            raise InputError(
                f"{where}.start: {stage.start!r} is no earlier float stage; give one of {', '.join(floats) or 'none'}"
            )
        if stage.weights_file is not None and (stage.start is not None or stage.kind == "int4"):
            raise InputError(f"{where}.weights_file: only a float stage without start can start from a file")
        if stage.word_density is not None and stage.density is not None:
            raise InputError(f"{where}.density: prune weight words or single weights in a stage, not both")
        if stage.kind == "int4":
            if stage.start is None:
                raise InputError(f"{where}.start: an int4 stage starts from a float one; name it")
            for key in ("taps", "word_density", "density", "shifts", "shift_penalty"):
                if getattr(stage, key) not in (None, 0.0):
                    raise InputError(f"{where}.{key}: prune in a float stage; an int4 stage keeps its start's masks")
        kinds[stage.name] = stage.kind
