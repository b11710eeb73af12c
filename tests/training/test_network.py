"""The denoiser and its training, if torch is installed; every test is short."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

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
from daguerre.models.embedded.model import WEIGHTS
from daguerre.models.embedded.text import NUM_SLOTS, TEXT_WIDTH
from daguerre.models.openvino import openvino_core

torch: Any = pytest.importorskip("torch", reason="torch is there for training alone")
network: Any = pytest.importorskip("training.network")
checkpoints: Any = pytest.importorskip("training.checkpoints")
dataset: Any = pytest.importorskip("training.dataset")
new_names: Any = pytest.importorskip("training.new_names")
restore: Any = pytest.importorskip("training.restore")
text_encoder: Any = pytest.importorskip("training.text_encoder")
muon: Any = pytest.importorskip("training.muon")
train: Any = pytest.importorskip("training.train")

SMALL = network.DenoiserConfig(width=64, depth=1, text_depth=1, heads=2)
NUM_TEXT = 1 + NUM_SLOTS


@pytest.fixture(scope="module")
def denoiser() -> Any:
    torch.manual_seed(1)
    names = torch.randn(network.NUM_NAMES, TEXT_WIDTH)
    found = network.Denoiser(SMALL, names).eval()
    torch.nn.init.normal_(found.text_slot, std=0.1)
    torch.nn.init.normal_(found.text_kind, std=0.1)
    return found


def inputs(rows: int, seed: int = 1) -> dict[str, Any]:
    """Half-decided scenes, and texts of a few tokens."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.from_numpy(MASKED)
    known = (torch.rand(rows, len(FIELDS), generator=generator) * masks).long()
    masked = torch.rand(rows, len(FIELDS), generator=generator) < 0.5
    text, negative = (torch.randn(rows, NUM_TEXT, TEXT_WIDTH, generator=generator) for _ in "ab")
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
    swapped = {**given, "text": given["negative"], "negative": given["text"]}
    assert (logits(denoiser, given) - logits(denoiser, swapped)).abs().max() > 1e-3


def test_empty_slots_are_not_read(denoiser: Any) -> None:
    """A shorter negative prompt equals one that is padded with zeros."""
    given = inputs(2)
    short = {**given, "negative": given["negative"][:, :9]}
    torch.testing.assert_close(logits(denoiser, short), logits(denoiser, given), atol=1e-4, rtol=0)


def test_copies_of_a_scene_share_its_text(denoiser: Any) -> None:
    """Three scenes per text equal three scenes with a text each."""
    given = inputs(6)
    few = {**given, "text": given["text"][:2], "negative": given["negative"][:2]}
    many = {name: few[name].repeat_interleave(3, dim=0) for name in ("text", "negative")}
    with torch.inference_mode():
        found = denoiser(**few, copies=3)
    torch.testing.assert_close(found, logits(denoiser, {**given, **many}), atol=1e-4, rtol=1e-4)


def test_logits_of_names_lie_where_the_fields_say() -> None:
    """A name with another meaning changes only its own logits, in the three slots."""
    torch.manual_seed(2)
    denoiser = network.Denoiser(SMALL, torch.randn(network.NUM_NAMES, TEXT_WIDTH)).eval()
    given = inputs(1)
    given["tokens"][0] = torch.from_numpy(MASKED)  # hides the name
    before, place = logits(denoiser, given), OBJECT_FIELDS["name"].index("cat")
    with torch.no_grad():
        denoiser.own_name.weight[place] += 1.0
    changed = (logits(denoiser, given) != before)[0].nonzero().flatten().tolist()
    assert changed == [int(STARTS[AT[slot, "name"]]) + place for slot in (1, 2, 3)]


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


def test_invalid_start(tmp_path: Path, denoiser: Any) -> None:
    """An empty directory and weights of another shape are errors that say what to do."""
    with pytest.raises(SystemExit, match="neither checkpoint.pt nor part-0"):
        checkpoints.load_denoiser(tmp_path)
    facts = {"captions": 0, "steps": 0, "seconds": 0}
    checkpoints.save_parts(tmp_path, SMALL, denoiser.state_dict(), facts)
    with pytest.raises(SystemExit, match="width 64 and depth 1"):
        checkpoints.load_start(tmp_path, network.DenoiserConfig())


class Counting:
    """Encodes a text as its length, and counts the texts."""

    def __init__(self) -> None:
        self.num = 0

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float16]:
        self.num += len(texts)
        rows = [np.full((NUM_TEXT, TEXT_WIDTH), len(text)) for text in texts]
        return np.array(rows, np.float16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve scenes that can be identified by their tokens, shape and caption."""
    tokens = np.repeat(np.arange(12, dtype=np.int16)[:, None], len(FIELDS), axis=1)
    np.savez(tmp_path / "scenes.npz", tokens=tokens, shapes=np.arange(12, dtype=np.int8) % 9)
    (tmp_path / "captions.json").write_text(json.dumps(["x" * (i + 1) for i in range(12)]))
    (tmp_path / "negatives.json").write_text(json.dumps(["" if i % 2 else "no" for i in range(12)]))
    return tmp_path


def test_batches_hold_scenes_with_their_own_words(folder: Path) -> None:
    """Every row has its scene's texts, or none, and its shape; an epoch has each scene once."""
    data = dataset.Dataset(folder, Counting(), seed=1)
    batches, seen, num_empty = data.batches(4), [], 0
    for _ in range(30):
        tokens, text, negative, shape = next(batches)
        assert tokens.shape == (4, len(FIELDS)) and tokens.dtype == torch.int64
        assert text.shape == (4, NUM_TEXT, TEXT_WIDTH) and text.dtype == torch.float32
        assert negative.shape == (4, dataset.NUM_NEGATIVE, TEXT_WIDTH)
        for row, i in enumerate(tokens[:, 0].tolist()):
            seen.append(i)
            assert shape[row].item() == i % 9
            is_empty = not bool(text[row].any())
            num_empty += is_empty
            wanted = (0, 0) if is_empty else (i + 1, 0 if i % 2 else 2)
            assert (text[row, 0, 0].item(), negative[row, 0, 0].item()) == wanted
    assert all(sorted(seen[i : i + 12]) == list(range(12)) for i in range(0, 120, 12))
    assert 3 <= num_empty <= 30


def test_words_are_encoded_once(folder: Path) -> None:
    """Equal texts are encoded together and only once; an incomplete part is encoded again."""
    (folder / "captions.npy.part").write_bytes(b"cut short")
    first, second = Counting(), Counting()
    dataset.Dataset(folder, first, seed=1)
    dataset.Dataset(folder, second, seed=1)
    assert (first.num, second.num) == (12 + 2, 0)
    assert list(folder.glob("*.part")) == []


def test_batches_follow_the_seed(folder: Path) -> None:
    """The same seed gives the same batches; another seed gives others."""
    drawn = [
        [batch[0][:, 0].tolist() for batch, _ in zip(data.batches(4), range(6), strict=False)]
        for data in (dataset.Dataset(folder, Counting(), seed) for seed in (1, 1, 2))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_meanings_are_those_of_all_words_for_a_name() -> None:
    """A name's row is the mean over the name and its synonyms; the empty name is zero."""
    found = dataset.name_meanings(Counting())
    assert found.shape == (len(OBJECT_FIELDS["name"]), TEXT_WIDTH) and not bool(found[0].any())
    words = ("glowing mushroom",)
    assert found[-1, 0].item() == pytest.approx(np.mean([len(word) for word in words]))
    assert bool((found[1:] > 0).all())


def test_the_exported_network_is_the_same(tmp_path: Path, denoiser: Any) -> None:
    """OpenVINO's logits match torch's within float16 precision, for any number of rows."""
    from daguerre.models.openvino import ov

    export: Any = pytest.importorskip("training.export")
    export.export_denoiser(denoiser, tmp_path)
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(tmp_path / "denoiser.xml", "CPU", config)
    for rows in (1, 2, 6):
        given = inputs(rows, seed=rows)
        found = compiled({name: value.numpy() for name, value in given.items()})[0]
        wanted = logits(denoiser, given).numpy()
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()


def test_restored_weights_compute_what_was_exported() -> None:
    """The denoiser restored from the shipped weights has nearly the logits of the shipped one."""
    names = dataset.name_meanings(text_encoder.CaptionEncoder(WEIGHTS))
    restored = restore.restore(WEIGHTS, names)
    given = inputs(2)
    exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    network = openvino_core().compile_model(WEIGHTS / "denoiser.xml", "CPU", exact)
    padded = {name: value.numpy() for name, value in given.items()}
    expected = network(padded)[0]
    difference = np.abs(logits(restored, given).numpy() - expected)
    assert difference.mean() < 0.02 * np.abs(expected).mean()  # the folded tables are int8


def test_new_names_widen_the_tables() -> None:
    """A new name is permitted where the others are; values of other fields keep their place."""
    narrow = {
        "0-kind": np.delete(TABLE, [STARTS[AT[s, "name"] + 1] - 2 for s in (1, 2, 3)], axis=1)
    }
    assert narrow["0-kind"].shape[1] == NUM_LOGITS - 3
    assert np.array_equal(new_names.widened(narrow, 1)["0-kind"], TABLE)


TABLE = np.random.RandomState(3).rand(4, NUM_LOGITS) < 0.5
for _slot in (1, 2, 3):
    for _name in ("name", "colour"):
        _at = AT[_slot, _name]
        TABLE[:, STARTS[_at] + 1 : STARTS[_at + 1]] = TABLE[:, [STARTS[_at] + 1]]
