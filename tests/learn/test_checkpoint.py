from __future__ import annotations

import pytest
import torch
from torch import nn

from semeion.learn.checkpoint import (
    load_optimiser,
    load_tensors,
    optimiser_tensors,
    prefixed,
    save_tensors,
    under,
)


def trained(steps, layout=torch.channels_last, fused=True):
    """Return a small convolution with its optimiser after some steps."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 2, 3)).to(memory_format=layout)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2, fused=fused)
    for number in range(steps):
        step(network, optimiser, number)
    return network, optimiser


def step(network, optimiser, number):
    torch.manual_seed(100 + number)
    optimiser.zero_grad()
    (network(torch.randn(3, 4, 7, 7)) * torch.randn(3, 2, 3, 3)).sum().backward()
    optimiser.step()


def test_tensors_and_facts_come_back(tmp_path):
    tensors = {
        "a": torch.randn(2, 3),
        "half": torch.randn(3).bfloat16(),
        "count": torch.tensor(7),
        "last": torch.randn(2, 4, 3, 3).contiguous(memory_format=torch.channels_last),
        "view": torch.arange(12.0).view(3, 4).T,
    }
    facts = {"step": 3, "losses": [0.5, 0.25], "best": float("inf"), "name": "größe"}
    save_tensors(tmp_path / "x.safetensors", tensors, facts)
    back, found = load_tensors(tmp_path / "x.safetensors")
    assert found == facts
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)


def test_tensors_that_share_memory_are_saved_each(tmp_path):
    whole = torch.arange(6.0)
    save_tensors(tmp_path / "x.safetensors", {"whole": whole, "part": whole[2:], "same": whole}, {})
    back, facts = load_tensors(tmp_path / "x.safetensors")
    assert torch.equal(back["part"], whole[2:])
    assert facts == {}


def test_the_file_is_no_pickle_and_nothing_is_left_beside_it(tmp_path):
    save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(3)}, {})
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]
    assert not (tmp_path / "x.safetensors").read_bytes().startswith((b"\x80", b"PK"))


def test_a_failure_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    import safetensors.torch

    file = tmp_path / "x.safetensors"
    save_tensors(file, {"a": torch.ones(3)}, {"step": 1})

    def fails(tensors, filename, metadata):
        filename.write_bytes(b"half")
        raise RuntimeError("gone")

    monkeypatch.setattr(safetensors.torch, "save_file", fails)
    with pytest.raises(RuntimeError, match="gone"):
        save_tensors(file, {"a": torch.zeros(3)}, {"step": 2})
    assert load_tensors(file)[1] == {"step": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_prefixes():
    tensors = {"a.b": torch.zeros(1), "c": torch.ones(1)}
    named = {**prefixed("one", tensors), **prefixed("onemore", {"c": torch.zeros(2)})}
    assert set(named) == {"one.a.b", "one.c", "onemore.c"}
    assert under("one", named) == tensors
    assert under("two", named) == {}


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("fused", [True, False])
def test_an_optimiser_goes_on_as_if_never_saved(tmp_path, layout, fused):
    whole, whole_optimiser = trained(8, layout, fused)
    network, optimiser = trained(4, layout, fused)
    tensors = {**prefixed("network", network.state_dict()), **prefixed("optimiser", optimiser_tensors(optimiser))}
    save_tensors(tmp_path / "x.safetensors", tensors, {})
    back, _ = load_tensors(tmp_path / "x.safetensors")
    fresh, fresh_optimiser = trained(0, layout, fused)
    fresh.load_state_dict(under("network", back))
    load_optimiser(fresh_optimiser, under("optimiser", back))
    for number in range(4, 8):
        step(fresh, fresh_optimiser, number)
    for one, other in zip(whole.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(one, other)
    for name, value in optimiser_tensors(whole_optimiser).items():
        assert torch.equal(value, optimiser_tensors(fresh_optimiser)[name])


def test_the_settings_of_the_optimiser_stay(tmp_path):
    _, optimiser = trained(2)
    _, fresh = trained(0)
    fresh.param_groups[0]["lr"] = 0.5
    load_optimiser(fresh, optimiser_tensors(optimiser))
    assert fresh.param_groups[0]["lr"] == 0.5
