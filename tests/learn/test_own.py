"""A network of the user's by import path: what is made of it, and what is refused before anything is learned."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from semeion.errors import InputError
from semeion.learn.network3d import make_network
from semeion.learn.own import check_own, code_of, load_factory, own_network, own_step_seconds
from semeion.plan.recipes import OwnNetworkPlan

GOOD = """
    import torch
    from torch import nn

    def Small(planes, size, outputs):
        return nn.Sequential(nn.Conv2d(planes, 4, 3), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                             nn.Linear(4, outputs))
"""
Written = Callable[..., OwnNetworkPlan]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """Write a module into the working folder and return the plan of its factory."""
    monkeypatch.chdir(tmp_path)
    made: list[str] = []

    def write(body: str = GOOD, factory: str = "Small", code: str | None = None) -> OwnNetworkPlan:
        name = f"own_network_{len(made)}_{tmp_path.name.replace('-', '_')}"
        made.append(name)
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(body), encoding="utf-8")
        path = f"{name}:{factory}"
        return OwnNetworkPlan(factory=path, code=code or code_of(path))

    yield write
    for name in made:
        sys.modules.pop(name, None)


def refused(plan: OwnNetworkPlan, shape: tuple[int, ...] = (1, 16, 16), outputs: int = 2) -> str:
    with pytest.raises(InputError) as caught:
        check_own(plan, shape, outputs)
    assert str(caught.value).startswith("--network: ")
    return str(caught.value)


def test_a_module_is_made_with_the_weights_of_the_seed(written: Written) -> None:
    plan = written()
    check_own(plan, (3, 16, 16), 3)
    torch.manual_seed(5)
    one = make_network(plan, (3, 16, 16), 1, "multiclass", 3)
    torch.manual_seed(5)
    two = own_network(plan, (3, 16, 16), 3)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert one(torch.zeros(2, 3, 16, 16)).shape == (2, 3)
    assert own_step_seconds(plan, (3, 16, 16), 3, 4, 1) > 0


def test_volumes_are_given_as_they_are(written: Written) -> None:
    body = GOOD.replace("Conv2d", "Conv3d").replace("AdaptiveAvgPool2d", "AdaptiveAvgPool3d")
    plan = written(body)
    check_own(plan, (2, 6, 8, 8), 2)
    assert own_network(plan, (2, 6, 8, 8), 2)(torch.zeros(3, 2, 6, 8, 8)).shape == (3, 2)


def test_what_is_not_there_is_named(written: Written) -> None:
    with pytest.raises(InputError, match=r"the module 'no_such_module' cannot be imported \(ModuleNotFoundError"):
        load_factory("no_such_module:F")
    plan = written()
    with pytest.raises(InputError, match=r"has no function or class 'Large'; give package\.module:Factory"):
        load_factory(plan.factory.replace("Small", "Large"))
    assert "cannot be imported (ZeroDivisionError" in refused(written("1 / 0", code="0" * 64))


def test_a_file_that_was_changed_is_refused(written: Written) -> None:
    assert "was changed since the plan was made; plan and train again" in refused(written(code="0" * 64))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("def Small(planes, size, outputs):\n    return 3", "returns int, and no module"),
        ("def Small(planes, size):\n    return 3", "fails (TypeError"),
        (GOOD.replace("nn.Linear(4, outputs)", "nn.Linear(4, 7)"), "gives (3, 7) for 3 images, and 2 numbers each"),
        (GOOD.replace("nn.Linear(4, outputs)", "nn.Linear(5, outputs)"), "fails on images (RuntimeError"),
        ("from torch import nn\ndef Small(p, s, o):\n    return nn.Flatten()", "has nothing that could learn"),
        (
            """
            import random
            from torch import nn
            def Small(planes, size, outputs):
                made = nn.Sequential(nn.Flatten(), nn.Linear(planes * size[0] * size[1], outputs))
                nn.init.constant_(made[1].weight, random.random())
                return made
            """,
            "made with one seed have other weights",
        ),
        (
            """
            import torch
            from torch import nn
            class Small(nn.Module):
                def __init__(self, planes, size, outputs):
                    super().__init__()
                    self.linear = nn.Linear(planes * size[0] * size[1], outputs)
                def forward(self, x):
                    return self.linear(x.reshape(3, -1)) if len(x) == 3 else self.linear(x.flatten(1)) * 2
            """,
            "cannot be exported to ONNX|says something else than the module",
        ),
        (
            """
            import torch
            from torch import nn
            class Small(nn.Module):
                def __init__(self, planes, size, outputs):
                    super().__init__()
                    self.linear = nn.Linear(planes, outputs)
                def forward(self, x):
                    return self.linear(torch.linalg.eigvals(x[..., :4, :4]).real.mean(-1))
            """,
            "cannot be exported to ONNX",
        ),
    ],
    ids=["no-module", "arguments", "outputs", "fails", "nothing-learns", "seed", "branch", "operator"],
)
def test_what_cannot_be_trained_repeated_or_shipped_is_refused(written: Written, body: str, says: str) -> None:
    said = refused(written(body))
    assert any(part in said for part in says.split("|")), said


def test_an_import_path_is_a_module_and_a_name() -> None:
    from semeion.study.own_network import check_factory

    check_factory(None)
    for text in ("module", "a.b", "a:b:c", "a b:c", "../a:b", "os.path:"):
        with pytest.raises(InputError, match=r"is no import path; write package\.module:Factory"):
            check_factory(text)
