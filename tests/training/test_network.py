"""The denoiser and its training, if torch is installed; every test is short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.models.embedded.drawing import SHAPES
from daguerre.models.embedded.fields import (
    AT,
    FIELDS,
    MASKED,
    NUM_LOGITS,
    OBJECT_FIELDS,
    ORDER,
    STARTS,
)
from daguerre.models.embedded.memory import Memory, both_rows, of_reader, read_unprompted
from daguerre.models.embedded.text import NUM_NEGATIVE_SLOTS, NUM_SLOTS, TEXT_WIDTH
from daguerre.models.openvino import openvino_core

torch: Any = pytest.importorskip("torch", reason="torch is there for training alone")
network: Any = pytest.importorskip("training.network")
checkpoints: Any = pytest.importorskip("training.checkpoints")
export: Any = pytest.importorskip("training.export")
served: Any = pytest.importorskip("training.served")
muon: Any = pytest.importorskip("training.muon")
train: Any = pytest.importorskip("training.train")

SMALL = network.DenoiserConfig(width=64, depth=1, text_depth=1, heads=2)
NUM_TEXT = 1 + NUM_SLOTS


@pytest.fixture(scope="module")
def denoiser() -> Any:
    torch.manual_seed(1)
    names = torch.randn(network.NUM_NAMES, TEXT_WIDTH)
    found = network.Denoiser(SMALL, names).eval()
    torch.nn.init.normal_(found.prompt_slot, std=0.1)
    return found


def inputs(rows: int, seed: int = 1) -> dict[str, Any]:
    """Half-decided scenes, and texts of a few tokens."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.from_numpy(MASKED)
    known = (torch.rand(rows, len(FIELDS), generator=generator) * masks).long()
    masked = torch.rand(rows, len(FIELDS), generator=generator) < 0.5
    text, negative = (
        torch.randn(rows, length, TEXT_WIDTH, generator=generator)
        for length in (NUM_TEXT, 1 + NUM_NEGATIVE_SLOTS)
    )
    text[:, 7:], negative[:, 4:] = 0.0, 0.0
    shape = torch.arange(rows) % len(SHAPES)
    tokens = torch.where(masked, masks, known)
    return {"tokens": tokens, "text": text, "negative": negative, "shape": shape}


def logits(denoiser: Any, given: dict[str, Any]) -> Any:
    with torch.inference_mode():
        return denoiser(**given)


def test_logits_are_those_of_all_fields(denoiser: Any) -> None:
    """Every scene, fully masked or fully decided, gives finite logits of all fields."""
    given = inputs(3)
    given["tokens"][0] = torch.from_numpy(MASKED)
    given["tokens"][1] = torch.from_numpy(MASKED - 1)
    found = logits(denoiser, given)
    assert found.shape == (3, NUM_LOGITS) and bool(found.isfinite().all())


def test_rows_are_independent(denoiser: Any) -> None:
    """A row has the same logits alone and among others."""
    given = inputs(4)
    together = logits(denoiser, given)
    for row in range(4):
        alone = logits(denoiser, {k: v[row : row + 1] for k, v in given.items()})
        torch.testing.assert_close(alone[0], together[row], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["tokens", "text", "negative", "shape"])
def test_every_input_counts(denoiser: Any, name: str) -> None:
    """The decided fields, both texts and the shape each change the logits."""
    given, other = inputs(2), inputs(2, seed=2)
    other["shape"] = given["shape"] + 1
    changed = {**given, name: other[name]}
    assert (logits(denoiser, given) - logits(denoiser, changed)).abs().max() > 1e-3


def test_prompts_are_not_interchangeable(denoiser: Any) -> None:
    """Swapping the prompt and the negative prompt changes the logits."""
    given = inputs(2)
    length = 1 + NUM_NEGATIVE_SLOTS
    given["text"] = given["text"][:, :length]
    swapped = {**given, "text": given["negative"], "negative": given["text"]}
    assert (logits(denoiser, given) - logits(denoiser, swapped)).abs().max() > 1e-3


def test_empty_slots_are_not_read(denoiser: Any) -> None:
    """Shorter texts equal those that are padded with zeros."""
    given = inputs(2)
    short = {**given, "text": given["text"][:, :9], "negative": given["negative"][:, :4]}
    torch.testing.assert_close(logits(denoiser, short), logits(denoiser, given), atol=1e-4, rtol=0)


def test_copies_of_a_scene_share_its_text(denoiser: Any) -> None:
    """Three scenes per text equal three scenes with a text each."""
    given = inputs(6)
    few = {**given, "text": given["text"][:2], "negative": given["negative"][:2]}
    many = {name: few[name].repeat_interleave(3, dim=0) for name in ("text", "negative")}
    with torch.inference_mode():
        found = denoiser(**few)
    torch.testing.assert_close(found, logits(denoiser, {**given, **many}), atol=1e-4, rtol=1e-4)


def test_logits_of_names_lie_where_the_fields_say() -> None:
    """A name with another meaning changes only its own logits, in the slots of objects."""
    torch.manual_seed(2)
    denoiser = network.Denoiser(SMALL, torch.randn(network.NUM_NAMES, TEXT_WIDTH)).eval()
    given = inputs(1)
    given["tokens"][0] = torch.from_numpy(MASKED)  # hides the name
    before, place = logits(denoiser, given), OBJECT_FIELDS["name"].index("cat")
    with torch.no_grad():
        denoiser.own_name.weight[place] += 1.0
    changed = (logits(denoiser, given) != before)[0].nonzero().flatten().tolist()
    assert changed == [int(STARTS[AT[slot, "name"]]) + place for slot in range(1, 6)]


def test_masks() -> None:
    """Most rows have the first fields decided, some have random ones; only masked fields count."""
    masked, weight = train.draw_masks(2000, torch.Generator().manual_seed(3))
    in_order = masked[:, list(ORDER)].long()
    is_suffix = (in_order.diff(dim=1) >= 0).all(dim=1).float().mean().item()
    assert train.IN_ORDER_SHARE < is_suffix < train.IN_ORDER_SHARE + 0.15
    assert bool(((weight > 0) == masked).all())
    wanted = {n * said for n in (train.LATER, train.NEXT) for said in (1.0, train.SAID)}
    assert {round(v, 3) for v in weight.unique().tolist()} == {0.0, *wanted}
    assert bool(masked.any(dim=0).all()) and bool((~masked).any(dim=0).all())


def test_the_loss_is_of_what_is_masked() -> None:
    """Decided fields have no loss; correct logits cost nothing, uniform ones the entropy."""
    tokens = torch.zeros(2, len(FIELDS), dtype=torch.int64)
    weight = torch.zeros(2, len(FIELDS))
    weight[:, 0] = 1.0
    even = torch.zeros(2, NUM_LOGITS)
    loss, each = train.loss_of(even, tokens, weight)
    assert each.shape == weight.shape
    wanted = np.log(len(FIELDS[0].values)) / len(FIELDS)
    assert loss.item() == pytest.approx(wanted, rel=1e-4)
    sure = even.clone()
    sure[:, 0] = 50.0
    assert train.loss_of(sure, tokens, weight)[0].item() < 1e-4


def test_the_loss_is_the_cross_entropy_of_each_field() -> None:
    """The entropies of the fields that are evaluated together are those of each alone."""
    found = torch.randn(3, NUM_LOGITS, generator=torch.Generator().manual_seed(6))
    tokens = (torch.rand(3, len(FIELDS)) * torch.from_numpy(MASKED)).long()
    _, each = train.loss_of(found, tokens, torch.ones(3, len(FIELDS)))
    for i in range(len(FIELDS)):
        span = slice(STARTS[i], STARTS[i + 1])
        wanted = torch.nn.functional.cross_entropy(found[:, span], tokens[:, i], reduction="none")
        torch.testing.assert_close(each[:, i], wanted, atol=1e-4, rtol=1e-4)


def test_a_few_steps_learn_two_scenes() -> None:
    """All parameters get gradients, and the loss on two scenes falls far."""
    torch.manual_seed(4)
    denoiser = network.Denoiser(SMALL, torch.randn(network.NUM_NAMES, TEXT_WIDTH))
    given = inputs(2)
    tokens = (torch.rand(2, len(FIELDS)) * torch.from_numpy(MASKED)).long()
    given["tokens"] = torch.from_numpy(MASKED).repeat(2, 1)
    weight = torch.ones(2, len(FIELDS))
    optimizer = torch.optim.AdamW(denoiser.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss, _ = train.loss_of(denoiser(**given), tokens, weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert [name for name, p in denoiser.named_parameters() if p.grad is None] == []
    assert losses[-1] < 0.3 * losses[0]


def test_updates_are_orthogonal() -> None:
    """The singular values of an update are near one, for any gradient and shape."""
    for shape in ((2, 48, 16), (2, 16, 48)):
        torch.manual_seed(5)
        values = torch.linalg.svdvals(muon.orthogonalize(torch.randn(shape)))
        assert 0.5 < values.min() and values.max() < 1.5


def test_parts_give_the_denoiser_back(tmp_path: Path, monkeypatch: Any, denoiser: Any) -> None:
    """Weights survive the split into small float16 files; old parts of a longer run are deleted."""
    monkeypatch.setattr(checkpoints, "PART_BYTES", 100_000)
    trained = {"captions": 7, "steps": 3, "seconds": 1.5}
    (tmp_path / "part-99").write_bytes(b"old")
    checkpoints.save_parts(tmp_path, SMALL, denoiser.state_dict(), trained)
    files = list(tmp_path.iterdir())
    assert len(files) > 10 and max(file.stat().st_size for file in files) == 100_000
    again, facts = checkpoints.load_denoiser(tmp_path)
    assert facts == trained and again.config == SMALL
    for name, value in again.state_dict().items():
        torch.testing.assert_close(value, denoiser.state_dict()[name], atol=1e-3, rtol=1e-3)


def test_invalid_start(tmp_path: Path) -> None:
    """An empty directory is an error that says what is missing."""
    with pytest.raises(SystemExit, match="neither checkpoint.pt nor part-0"):
        checkpoints.load_denoiser(tmp_path)


def test_the_exported_networks_are_the_same(tmp_path: Path, denoiser: Any) -> None:
    """OpenVINO's logits match torch's within float16 precision, for any number of rows."""
    export.export_denoiser(denoiser, tmp_path)
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    reader, steps = (
        openvino_core().compile_model(tmp_path / f"{name}.xml", "CPU", config)
        for name in ("reader", "denoiser")
    )
    for rows, length in ((1, NUM_TEXT), (2, 25), (6, NUM_TEXT)):
        given = inputs(rows, seed=rows)
        given["text"] = given["text"][:, :length]
        arrays = {name: value.numpy() for name, value in given.items()}
        texts = {name: arrays.pop(name) for name in ("text", "negative")}
        read = of_reader(tuple(reader(texts).values()))
        padded = [both_rows(one, one) for one in _rows(read)]
        memory = {name: np.concatenate([row[name][:1] for row in padded]) for name in read}
        found = steps({**arrays, **memory})[0]
        wanted = logits(denoiser, given).numpy()
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()


def _rows(read: Memory) -> list[Memory]:
    return [
        {name: array[row : row + 1] for name, array in read.items()}
        for row in range(len(read["bias"]))
    ]


def test_an_image_without_prompts_reads_a_file(tmp_path: Path, denoiser: Any) -> None:
    """What the file has of two empty texts gives the logits of two empty texts."""
    export.export_denoiser(denoiser, tmp_path)
    given = inputs(2)
    given["text"], given["negative"] = (torch.zeros_like(given[n]) for n in ("text", "negative"))
    nothing = read_unprompted(tmp_path)
    memory = {name: torch.from_numpy(array) for name, array in both_rows(nothing, nothing).items()}
    with torch.inference_mode():
        found = served.Steps(denoiser)(given["tokens"], given["shape"], **memory)
    torch.testing.assert_close(found, logits(denoiser, given), atol=1e-4, rtol=1e-4)
