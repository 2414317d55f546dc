"""From the volumes of a case to its mask: the same code when a model is chosen, weighed and used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from semeion.errors import ImageError, MachineError
from semeion.model.engine import Engine
from semeion.model.manifest import Manifest
from semeion.model.sliding import VOXELS_A_BATCH, sliding_window
from semeion.prepare.postprocess import postprocess
from semeion.prepare.volume_spec import VolumePreparation

if TYPE_CHECKING:
    from semeion.cohort.volume import Volume
    from semeion.prepare.volume import PreparedVolume

Float32 = npt.NDArray[np.float32]

ENGINE_BYTES = 2048
"""What an engine takes for each voxel of a batch of windows. Measured with 32 features at full resolution in windows of
64 x 64 x 64: 1540 in ONNX Runtime, whose faster graph takes more than the plain one (530), and 490 in OpenVINO."""


@dataclass(frozen=True)
class Looking:
    """One network of a segmentation: its engine and the axes of its window along which it also looks mirrored."""

    engine: Engine
    mirror: tuple[int, ...] = ()


@dataclass(frozen=True)
class Segmenter:
    """Networks and all settings that a mask depends on.

    Attributes
    ----------
    networks
        Whose probabilities are averaged.
    preparation
        How volumes become input.
    overlap
        Of neighbouring windows.
    rules
        Of post-processing, in order.
    """

    networks: tuple[Looking, ...]
    preparation: VolumePreparation
    overlap: float = 0.5
    rules: tuple[str, ...] = ()

    def probabilities(self, image: Float32) -> Float32:
        """Return the mean over the networks of the probabilities of a prepared volume.

        Parameters
        ----------
        image
            float32 ``(C, D, H, W)``, as :func:`semeion.prepare.volume.prepare_volume` makes it.

        Returns
        -------
        numpy.ndarray
            float32 ``(L, D, H, W)``; class 0 is the background.

        Raises
        ------
        ImageError
            When an answer is not a number.
        MachineError
            When the answer needs more memory than the machine has left.
        """
        labels = self.networks[0].engine.n_outputs
        window = max(int(np.prod(network.engine.size)) for network in self.networks)
        _require_memory(image.shape[1:], labels, window)
        out: Float32 | None = None
        for network in self.networks:
            out = sliding_window(
                network.engine.run,
                image,
                network.engine.size,
                overlap=self.overlap,
                mirror=network.mirror,
                out=out,
                share=1 / len(self.networks),
            )
        if out is None:
            raise ValueError("a segmenter without networks")
        if not np.isfinite(out).all():
            raise ImageError("the network's output is not a number", fix="look at the image: it may hold no number too")
        return out

    def labels(self, prepared: PreparedVolume) -> Volume:
        """Return class indices on the grid of the image as it was read, after post-processing; one plane of uint8."""
        from semeion.prepare.volume import restore_labels

        return self.finished(restore_labels(self.probabilities(prepared.array), prepared))

    def finished(self, labels: Volume) -> Volume:
        """Return a volume of class indices after post-processing."""
        return replace(labels, voxels=postprocess(labels.plane, self.rules)[np.newaxis])

    def segment(self, volumes: Sequence[Volume]) -> tuple[Volume, PreparedVolume]:
        """Prepare the volumes of a case and return its class indices and what the networks saw.

        Raises
        ------
        ImageError
            When a channel is missing or the volumes cannot be prepared.
        """
        from semeion.prepare.volume import prepare_volume

        prepared = prepare_volume(volumes, self.preparation)
        return self.labels(prepared), prepared


def segmenter_of(manifest: Manifest, engines: Sequence[Engine]) -> Segmenter:
    """Return the segmenter that a manifest describes; `engines` in the order of its members."""
    how, steps = manifest.segmentation, manifest.preparation
    if how is None or not isinstance(steps, VolumePreparation):
        raise ValueError(f"a {manifest.task} model has no masks")
    networks = tuple(
        Looking(engine, tuple(member.mirror)) for member, engine in zip(manifest.members, engines, strict=True)
    )
    return Segmenter(networks, steps, how.overlap, tuple(how.postprocess))


def as_values(labels: Volume, values: Sequence[int]) -> Volume:
    """Return a mask with the integers of the classes instead of their indices; uint8, one plane."""
    table = np.zeros(256, np.uint8)
    table[1 : len(values) + 1] = values
    return replace(labels, voxels=table[labels.voxels])


def volumes_ml(labels: Volume, n_labels: int) -> list[float]:
    """Return the volume in ml of each class from 1 to `n_labels` of a volume of class indices."""
    counts = np.bincount(labels.plane.ravel(), minlength=n_labels + 1)[1 : n_labels + 1]
    return [float(count * labels.grid.voxel_ml) for count in counts]


def peak_bytes(shape: Sequence[int], labels: int, window: int = VOXELS_A_BATCH) -> int:
    """Return what segmenting holds at most besides the image: probabilities, the slab that goes back, a batch.

    The bound is ``4 L D H W`` bytes of probabilities, ``4 L`` bytes for each of at most 4 million voxels that are
    brought back at a time, and ``12 L + 8`` bytes and :data:`ENGINE_BYTES` a voxel of a batch of windows, which is one
    window or 262,144 voxels.
    """
    voxels = int(np.prod([int(side) for side in shape]))
    batch = max(window, VOXELS_A_BATCH)
    return 4 * labels * voxels + 4 * labels * (4 << 20) + (12 * labels + 8 + ENGINE_BYTES) * batch


def _require_memory(
    shape: Sequence[int], labels: int, window: int, available: Callable[[], int | None] | None = None
) -> None:
    needed = peak_bytes(shape, labels, window)
    free = (available or available_bytes)()
    if free is not None and needed > free:
        sides = " x ".join(map(str, shape))
        raise MachineError(
            f"{labels} classes of {sides} voxels need {needed / (1 << 30):.1f} GiB, and {free / (1 << 30):.1f} GiB of "
            "memory are free",
            where="memory",
            fix="close other programs, crop the image, or use a machine with more memory",
        )


def available_bytes() -> int | None:
    """Return how much memory can still be had without swapping; None where the system does not tell (not Linux)."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return None
