"""Volumes made for tests: NIfTI files byte by byte, so that a header may say anything."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np

from semeion.cohort.volume import Grid, Volume

CODES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768, "i8": 1024, "u8": 1280}
AFFINE = np.array([[-1.5, 0, 0, 40], [0, -1.25, 0, 30], [0, 0, 4, -20]], dtype=float)
"""RAS mm, as NIfTI counts: i runs to the right... here to the left, j to posterior, k to superior."""


def nifti1(
    voxels: np.ndarray[Any, Any],
    *,
    order: str = "<",
    srow: Any = AFFINE,
    sform_code: int = 1,
    qform: tuple[float, ...] = (0.0, 0.0, 1.0, 40.0, 30.0, -20.0),
    qform_code: int = 0,
    pixdim: tuple[float, ...] = (1.0, 1.5, 1.25, 4.0, 0.0, 0.0, 0.0, 0.0),
    units: int = 2,
    slope: float = 0.0,
    intercept: float = 0.0,
    dim: tuple[int, ...] | None = None,
    datatype: int | None = None,
    bitpix: int | None = None,
    offset: float = 352.0,
    magic: bytes = b"n+1\0",
    tail: bytes = b"",
) -> bytes:
    """Return a NIfTI-1 file of an array ``([planes,] k, j, i)``."""
    stored = np.ascontiguousarray(voxels).astype(voxels.dtype.newbyteorder(order))
    lengths = dim if dim is not None else (voxels.ndim, *reversed(voxels.shape))
    header = bytearray(352)
    struct.pack_into(f"{order}i", header, 0, 348)
    struct.pack_into(f"{order}8h", header, 40, *(*lengths, *[1] * 8)[:8])
    code = CODES[voxels.dtype.str[1:]] if datatype is None else datatype
    struct.pack_into(f"{order}2h", header, 70, code, voxels.dtype.itemsize * 8 if bitpix is None else bitpix)
    struct.pack_into(f"{order}8f", header, 76, *pixdim)
    struct.pack_into(f"{order}3f", header, 108, offset, slope, intercept)
    header[123] = units
    struct.pack_into(f"{order}2h", header, 252, qform_code, sform_code)
    struct.pack_into(f"{order}6f", header, 256, *qform)
    struct.pack_into(f"{order}12f", header, 280, *np.asarray(srow, dtype=float).ravel()[:12])
    header[344:348] = magic
    return bytes(header) + stored.tobytes() + tail


def nifti2(voxels: np.ndarray[Any, Any], *, order: str = "<", srow: Any = AFFINE, dim: Any = None) -> bytes:
    """Return a NIfTI-2 file of an array ``(k, j, i)`` with an sform."""
    lengths = dim if dim is not None else (voxels.ndim, *reversed(voxels.shape))
    header = bytearray(544)
    struct.pack_into(f"{order}i8s", header, 0, 540, b"n+2\0\r\n\x1a\n")
    struct.pack_into(f"{order}2h", header, 12, CODES[voxels.dtype.str[1:]], voxels.dtype.itemsize * 8)
    struct.pack_into(f"{order}8q", header, 16, *(*lengths, *[1] * 8)[:8])
    struct.pack_into(f"{order}8d", header, 104, 1, 1.5, 1.25, 4, 0, 0, 0, 0)
    struct.pack_into(f"{order}q", header, 168, 544)
    struct.pack_into(f"{order}2i", header, 344, 0, 1)
    struct.pack_into(f"{order}12d", header, 400, *np.asarray(srow, dtype=float).ravel()[:12])
    struct.pack_into(f"{order}i", header, 500, 2)
    return bytes(header) + voxels.astype(voxels.dtype.newbyteorder(order)).tobytes()


def save_nifti(path: Path, voxels: np.ndarray[Any, Any], **fields: Any) -> str:
    """Write a NIfTI-1 file, compressed when its name ends in ``.gz``; return its reference."""
    data = nifti1(voxels, **fields)
    path.write_bytes(gzip.compress(data, 1) if path.name.endswith(".gz") else data)
    return str(path)


def save_volume(path: Path, volume: Volume, **fields: Any) -> str:
    """Write a volume of one plane as NIfTI with its geometry as the sform."""
    return save_nifti(path, volume.plane, srow=np.diag([-1, -1, 1, 1]) @ volume.grid.affine, **fields)


def blob(shape: tuple[int, int, int] = (12, 20, 24), seed: int = 0) -> np.ndarray[Any, Any]:
    """Return smooth structure with noise, float32 ``(k, j, i)``: something to register, crop and threshold."""
    rng = np.random.default_rng(seed)
    k, j, i = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    body = (k**2 / 0.7 + j**2 / 0.5 + i**2 / 0.6 < 1) * 100.0
    inner = ((k - 0.1) ** 2 + (j + 0.2) ** 2 + (i - 0.3) ** 2 < 0.1) * 80.0
    values: np.ndarray[Any, Any] = (body + inner + rng.normal(0, 2, shape) * (body > 0)).astype(np.float32)
    return values


def oblique(size: tuple[int, int, int], spacing: tuple[float, float, float], seed: int = 0) -> Grid:
    """Return a grid with a random rotation and origin."""
    rng = np.random.default_rng(seed)
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    origin = rng.uniform(-100, 100, 3)
    return Grid(size, spacing, tuple(map(float, origin)), tuple(map(float, matrix.ravel())))
