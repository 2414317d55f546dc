"""A network of the user's: what a factory by import path makes, checked before anything is learned."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semeion.errors import InputError
from semeion.plan.recipes import OwnNetworkPlan

OPTION = "--network"
TOLERANCE = 1e-4
"""Largest difference in the output between a module and its exported graph, absolute or relative."""
_MAKES = "give package.module:Factory, a function or class of (planes, size, outputs) that returns a torch.nn.Module"
_GIVES = "return one float tensor (images, outputs) of logits for a float tensor (images, planes, *size)"


class OwnNetwork(nn.Module):
    """The user's module, and how many axes an image has behind its planes."""

    def __init__(self, inner: nn.Module, spatial: int) -> None:
        super().__init__()
        self.inner, self.spatial = inner, spatial

    def forward(self, x: Tensor) -> Tensor:
        """Return what the user's module returns, ``(images, outputs)``."""
        out: Tensor = self.inner(x)
        return out


def load_factory(path: str) -> Callable[..., Any]:
    """Import a factory; this runs the module's code.

    The working folder is searched first, as ``python -m`` does.

    Parameters
    ----------
    path
        ``package.module:Factory``.

    Raises
    ------
    InputError
        When the module cannot be imported, or has no such function or class.
    """
    name, _, attribute = path.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(name)
    except Exception as error:  # it is the user's code, which may do anything
        raise InputError(
            f"the module {name!r} cannot be imported ({_told(error)})", where=OPTION, fix=_MAKES
        ) from error
    finally:
        sys.path.remove(here)
    found: Any = getattr(module, attribute, None)
    if not callable(found):
        raise InputError(f"the module {name!r} has no function or class {attribute!r}", where=OPTION, fix=_MAKES)
    factory: Callable[..., Any] = found
    return factory


def code_of(path: str) -> str:
    """Return the SHA-256, hexadecimal, of the file that a factory is written in."""
    factory = load_factory(path)
    try:
        return hashlib.sha256(Path(inspect.getfile(factory)).read_bytes()).hexdigest()
    except (TypeError, OSError) as error:
        raise InputError(f"{path} is not written in a file ({_told(error)})", where=OPTION, fix=_MAKES) from error


def own_network(plan: OwnNetworkPlan, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Return a fresh network of the user's; its weights follow the seed of torch.

    Parameters
    ----------
    plan
        The factory, and the hash of its file.
    shape
        Of a case: planes, then (slices,) rows and columns.
    outputs
        Numbers that it must give an image.

    Raises
    ------
    InputError
        When the file is another one than was planned with, or the factory makes no module.
    """
    if code_of(plan.factory) != plan.code:
        raise InputError(
            f"the file of {plan.factory} was changed since the plan was made", where=OPTION, fix="plan and train again"
        )
    try:
        module = load_factory(plan.factory)(shape[0], tuple(shape[1:]), outputs)
    except InputError:
        raise
    except Exception as error:  # the user's code
        raise InputError(f"{plan.factory} fails ({_told(error)})", where=OPTION, fix=_MAKES) from error
    if not isinstance(module, nn.Module):
        raise InputError(f"{plan.factory} returns {type(module).__name__}, and no module", where=OPTION, fix=_MAKES)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise InputError(f"the module of {plan.factory} has nothing that could learn", where=OPTION, fix=_MAKES)
    return OwnNetwork(module, len(shape) - 1)


def check_own(plan: OwnNetworkPlan, shape: tuple[int, ...], outputs: int) -> None:
    """Refuse a module that cannot be trained, repeated or shipped, on noise and before any image is prepared.

    Raises
    ------
    InputError
        When its output has another shape, is no number or has no gradient; when two modules of one seed differ; or when
        it cannot be exported, or the exported graph says something else.
    """
    made = []
    for _ in range(2):
        torch.manual_seed(0)
        made.append(own_network(plan, shape, outputs))
    first, second = (module.state_dict() for module in made)
    if any(not torch.equal(first[name], second[name]) for name in first):
        raise InputError(
            f"two modules that {plan.factory} made with one seed have other weights",
            where=OPTION,
            fix="draw weights by torch alone, whose seed is set before",
        )
    module = made[0]
    images = torch.randn((3, *shape), generator=torch.Generator().manual_seed(1))
    try:
        given = module.train()(images)
        fits = isinstance(given, torch.Tensor) and tuple(given.shape) == (3, outputs) and given.is_floating_point()
    except Exception as error:  # the user's code
        raise InputError(
            f"the module of {plan.factory} fails on images ({_told(error)})", where=OPTION, fix=_GIVES
        ) from error
    if not fits:
        found = tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
        raise InputError(
            f"the module of {plan.factory} gives {found} for 3 images, and {outputs} numbers each are needed",
            where=OPTION,
            fix=_GIVES,
        )
    if not bool(torch.isfinite(given).all()) or not given.requires_grad:
        raise InputError(f"the module of {plan.factory} gives no finite numbers to learn by", where=OPTION, fix=_GIVES)
    _check_export(plan, module.eval(), shape, outputs)


def _check_export(plan: OwnNetworkPlan, module: nn.Module, shape: tuple[int, ...], outputs: int) -> None:
    from semeion.learn.export import to_onnx
    from semeion.learn.network import Scales, ShippedNetwork

    planes = shape[0]
    shipped = ShippedNetwork(module, Scales((127.5,) * planes, (64.0,) * planes), [], "multiclass").eval()
    pixels = np.random.default_rng(0).integers(0, 256, (3, *shape), dtype=np.uint8)
    try:
        import onnxruntime as ort

        session = ort.InferenceSession(to_onnx(shipped, shape), providers=["CPUExecutionProvider"])
        got = np.concatenate([session.run(["logits"], {"image": part})[0] for part in (pixels[:1], pixels[1:])])
        with torch.inference_mode():
            wanted = shipped(torch.from_numpy(pixels)).numpy()
    except Exception as error:  # the exporter and the runtime have no common base of errors
        raise InputError(
            f"the module of {plan.factory} cannot be exported to ONNX ({_told(error)})",
            where=OPTION,
            fix="use operations that torch.onnx.export knows, and no number of images inside forward",
        ) from error
    if got.shape != (3, outputs) or not np.allclose(got, wanted, rtol=TOLERANCE, atol=TOLERANCE):
        raise InputError(
            f"the exported graph of {plan.factory} says something else than the module",
            where=OPTION,
            fix="leave out of forward what depends on values or on chance, and branches in Python",
        )


def own_step_seconds(plan: OwnNetworkPlan, shape: tuple[int, ...], outputs: int, batch: int, threads: int) -> float:
    """Return the median time of a training step in seconds, augmentation not included."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    module = own_network(plan, shape, outputs).train()
    optimiser = torch.optim.AdamW(module.parameters(), 1e-4)
    images = torch.randn((batch, *shape))
    times = []
    for _ in range(5):
        began = perf_counter()
        optimiser.zero_grad(set_to_none=True)
        module(images).square().mean().backward()
        optimiser.step()
        times.append(perf_counter() - began)
    return float(median(times[2:]))


def _told(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0].split(". ")[0][:200]
    return f"{type(error).__name__}: {first}".rstrip(": ")
