"""Restoring exported weights, also those of other fields, if torch is installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.models.embedded.fields import AT, FIELDS, MASKED, NUM_LOGITS, OBJECT_FIELDS, STARTS
from daguerre.models.embedded.text import NUM_SLOTS, TEXT_WIDTH

torch: Any = pytest.importorskip("torch", reason="torch is there for training alone")
layout: Any = pytest.importorskip("training.layout")
network: Any = pytest.importorskip("training.network")
restore: Any = pytest.importorskip("training.restore")
export: Any = pytest.importorskip("training.export")

SMALL = network.DenoiserConfig(width=64, depth=1, text_depth=2, heads=2)
CURRENT = layout.Layout.current()


def smaller() -> Any:
    """A layout with three objects, without some values and fields of today's."""
    objects = dict(CURRENT.objects)
    objects["count"], objects["name"] = objects["count"][:-2], objects["name"][:-3]
    del objects["hat"]
    return layout.Layout(CURRENT.scene, objects, 3)


@pytest.fixture(scope="module")
def denoiser() -> Any:
    torch.manual_seed(1)
    names = torch.randn(network.NUM_NAMES, TEXT_WIDTH)
    return network.Denoiser(SMALL, names).eval()


def logits(denoiser: Any, seed: int = 1) -> Any:
    generator = torch.Generator().manual_seed(seed)
    known = (torch.rand(3, len(FIELDS), generator=generator) * torch.from_numpy(MASKED)).long()
    texts = [torch.randn(3, 1 + n, TEXT_WIDTH, generator=generator) for n in (NUM_SLOTS, 8)]
    with torch.inference_mode():
        return denoiser(known, *texts, torch.arange(3))


def test_restored_weights_compute_what_was_exported(tmp_path: Path, denoiser: Any) -> None:
    """The denoiser that is restored has nearly the logits of the exported one."""
    export.export_denoiser(denoiser, tmp_path)
    restored = restore.restore(tmp_path, denoiser.names)
    wanted = logits(denoiser)
    assert restored.config == SMALL
    difference = (logits(restored) - wanted).abs()
    assert difference.mean() < 0.02 * wanted.abs().mean()  # the matrices are int8


def reduced(denoiser: Any) -> dict[str, Any]:
    """The parameters that weights of the smaller layout would have."""
    state = {name: value.numpy() for name, value in denoiser.state_dict().items()}
    source, before = CURRENT, smaller()
    transfer = layout.Transfer(source, before)
    rows = transfer.places(source.embedded_rows(), before.embedded_rows())
    state["embed_field.weight"] = state["embed_field.weight"][rows]
    for slot in range(4):
        mine = transfer.places(source.plain_rows(slot), before.plain_rows(slot))
        for name in (f"heads.{slot}.weight", f"heads.{slot}.bias"):
            state[name] = state[name][mine]
    known, keys = (table.detach().numpy() for table in denoiser.name_tables())
    names = [OBJECT_FIELDS["name"].index(name) for name in before.objects["name"]]
    state["known_names"], state["name_keys"] = known[[*names, -1]], keys[names]
    state["prompt_slot"] = state["prompt_slot"][:25]
    return state


def test_weights_of_fewer_fields(denoiser: Any) -> None:
    """Known values keep their rows; new values are unlikely, and new objects like the last one."""
    found = restore.transferred(reduced(denoiser), SMALL, smaller(), denoiser.names)
    state, wanted = found.state_dict(), denoiser.state_dict()
    rows = CURRENT.plain_rows(1)
    bias = dict(zip(rows, state["heads.1.bias"].tolist(), strict=True))
    known = dict(zip(rows, wanted["heads.1.bias"].tolist(), strict=True))
    assert {row for row in rows if bias[row] != known[row]} <= {
        (1, "count", "6"), (1, "count", "7"),
        *((1, "hat", value) for value in CURRENT.objects["hat"]),
    }  # fmt: skip
    counts = [known[1, "count", value] for value in "12345"]
    assert bias[1, "count", "7"] < np.mean(counts) - 3
    assert torch.equal(state["heads.5.weight"], state["heads.3.weight"])
    assert torch.equal(state["prompt_slot"][64], wanted["prompt_slot"][24])
    rows = CURRENT.embedded_rows()
    places = {row: i for i, row in enumerate(rows)}
    table, before = state["embed_field.weight"], wanted["embed_field.weight"]
    assert torch.equal(table[places[1, "count", "3"]], before[places[1, "count", "3"]])
    assert torch.equal(table[places[5, "spot", "left"]], before[places[3, "spot", "left"]])
    assert not table[[places[row] for row in rows if row[1] == "hat"]].any()


def test_known_names_keep_their_logits(denoiser: Any) -> None:
    """The meanings of names and their own parts together are what they were."""
    found = restore.transferred(reduced(denoiser), SMALL, smaller(), denoiser.names)
    wanted, keys = denoiser.name_tables()
    known, found_keys = found.name_tables()
    assert torch.allclose(found_keys[:-3], keys[:-3], atol=1e-4)
    assert torch.allclose(known[:-4], wanted[:-4], atol=1e-4)
    assert torch.allclose(known[-1], wanted[-1], atol=1e-4)


def test_new_values_are_not_permitted(tmp_path: Path) -> None:
    """Tables keep what they permit; new names and colours are permitted where others are."""
    before = smaller()
    rows = before.rows()
    table = np.random.RandomState(3).rand(len(before.scene["kind"]), len(rows)) < 0.5
    before.write(tmp_path)
    tables: dict[str, Any] = {"0-kind": table}
    np.savez(tmp_path / "rules.npz", **tables)
    found = restore.restored_rules(tmp_path)["0-kind"]
    assert found.shape == (len(CURRENT.scene["kind"]), NUM_LOGITS)
    for at, row in enumerate(CURRENT.rows()):
        if row in rows and row[1] not in ("name", "colour"):
            assert np.array_equal(found[:, at], table[:, rows.index(row)])
        elif row[1] == "hat" or row[0] > 3:
            assert found[:, at].all() == (row[2] == "")
        elif row[1] == "count":
            assert not found[:, at].any()
    span = slice(STARTS[AT[1, "name"]] + 1, STARTS[AT[1, "name"] + 1])
    assert (found[:, span].all(axis=1) == found[:, span].any(axis=1)).all()


def test_the_layout_comes_back_from_its_file(tmp_path: Path) -> None:
    """All fields and values are as they were, in the same order."""
    before = replace(smaller(), num_objects=2)
    before.write(tmp_path)
    again = layout.Layout.read(tmp_path)
    assert again.rows() == before.rows() and again.num_objects == 2
