"""Packing of module calls into the inputs of a forward: rows, constants, and the round trip."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daguerre.engine.batching.batcher import batch_inputs, split_outputs
from daguerre.engine.forward import ForwardRequest

from .conftest import REASON

torch = pytest.importorskip("torch", reason=REASON)
transformers = pytest.importorskip("transformers", reason=REASON)

from daguerre.models.diffusers.call_packing import (  # noqa: E402
    pack_call,
    pad_masked,
    tree_flatten,
    tree_unflatten,
    unpack_call,
)
from daguerre.models.diffusers.family import PLAIN, InputLayout  # noqa: E402

# A busy machine may be slow.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50)
ROWS = 2
DTYPES = (torch.float32, torch.bfloat16, torch.int64, torch.bool)


def call(rows: int = 2, tokens: int = 5, **changes: Any) -> dict[str, Any]:
    return {
        "sample": torch.arange(float(rows * 3)).reshape(rows, 3),
        "timestep": torch.tensor(7),
        "encoder_hidden_states": torch.ones(rows, tokens, 2),
        "added_cond_kwargs": {"time_ids": torch.zeros(rows, 6), "resolution": None},
        "return_dict": False,
        **changes,
    }


def request(arguments: dict[str, Any], layout: InputLayout = PLAIN) -> ForwardRequest:
    return ForwardRequest("unet", pack_call(arguments, layout), "denoise")


def signature(layout: InputLayout = PLAIN, **changes: Any) -> str:
    return request(call(**changes), layout).signature


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    """Tensors with `ROWS` rows, with another first axis, and without axes; some not contiguous."""
    shape = draw(st.lists(st.integers(1, 3), max_size=3))
    if draw(st.booleans()):
        shape = [ROWS, *shape]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 9)))
    tensor = torch.randint(-5, 5, shape, generator=generator).to(draw(st.sampled_from(DTYPES)))
    return tensor.mT if tensor.ndim > 2 and draw(st.booleans()) else tensor


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
NAMES = st.sampled_from(("ids", "mask", "options", "scale", "x"))
TREES = st.recursive(
    SCALARS | tensors(),
    lambda tree: st.lists(tree) | st.lists(tree).map(tuple) | st.dictionaries(NAMES, tree),
    max_leaves=8,
)


def is_same(one: Any, other: Any) -> bool:
    """Whether two trees have the same structure, types and bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return bool(one.dtype == other.dtype and one.tolist() == other.tolist())
    if isinstance(one, dict):
        return list(one) == list(other) and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    return one == other or repr(one) == repr(other)  # NaN


@unhurried
@given(st.dictionaries(NAMES, TREES), st.sets(NAMES), st.sets(NAMES))
def test_round_trip(arguments: Any, broadcast: set[str], value_dependent: set[str]) -> None:
    """A call that is packed and unpacked is unchanged, whatever it holds."""
    layout = InputLayout(frozenset(broadcast), frozenset(value_dependent))
    arguments = {"sample": torch.arange(float(ROWS)), **arguments}
    assert is_same(unpack_call(pack_call(arguments, layout)), arguments)


@unhurried
@given(TREES)
def test_round_trip_of_a_result(result: Any) -> None:
    """A result is restored from its structure and its tensors."""
    structure, found = tree_flatten(result)
    assert is_same(tree_unflatten(structure, {str(i): t for i, t in enumerate(found)}), result)


def test_rows_on_the_second_axis() -> None:
    """The engine gets them on the first, and the pipeline on the second, in equal values."""
    result = {"states": (torch.arange(12.0).reshape(3, 2, 2), None)}
    structure, found = tree_flatten(result, InputLayout(output_axis=1))
    assert [tensor.shape for tensor in found] == [(2, 3, 2)]
    kept = {"0": found[0].contiguous()}
    assert is_same(tree_unflatten(structure, kept), result)


@unhurried
@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=3), min_size=1, max_size=3))
def test_round_trip_of_a_ragged_batch(lengths: list[list[int]]) -> None:
    """Lists of tensors with different lengths are merged and restored, each with its own length."""
    layout = InputLayout(ragged={"words": 9})
    calls = [[torch.full((length, 2), float(length)) for length in each] for each in lengths]
    requests = [request({"words": words}, layout) for words in calls]
    if len({forward.signature for forward in requests}) == 1:
        merged = unpack_call(batch_inputs(requests))
        assert is_same(merged["words"], [tensor for words in calls for tensor in words])
    for forward, words in zip(requests, calls, strict=True):
        assert is_same(unpack_call(forward.inputs), {"words": words})


def test_timestep_becomes_a_row() -> None:
    """A step that is one number for all rows becomes one number per row."""
    assert unpack_call(pack_call(call()))["timestep"].tolist() == [7, 7]


def test_rows_are_not_part_of_the_signature() -> None:
    """Calls that differ in values, steps or number of rows have the same signature."""
    signatures = {
        signature(),
        signature(rows=4),
        signature(timestep=torch.tensor(900)),
        signature(sample=torch.full((2, 3), 0.5)),
    }
    assert len(signatures) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens": 6},  # a longer prompt that its tokenizer did not pad
        {"return_dict": True},
        {"sample": torch.zeros(2, 3, dtype=torch.bfloat16)},
        {"timestep": torch.tensor(7.0)},
        {"added_cond_kwargs": {"time_ids": torch.zeros(2, 6), "resolution": 1}},
        {"added_cond_kwargs": None},
    ],
)
def test_everything_else_is_part_of_the_signature(changes: dict[str, Any]) -> None:
    """Calls that differ in a shape, a type, an option or their structure never share a batch."""
    assert signature(**changes) != signature()


def test_constants_are_identified_by_content() -> None:
    """Tensors without rows are part of the signature with every bit."""
    ids = torch.zeros(7, 3)
    other = ids.clone()
    other[6, 2] = -0.0
    assert signature(img_ids=ids) == signature(img_ids=ids.clone())
    assert signature(img_ids=ids) != signature(img_ids=other)
    # The first axis is as long as the batch: only the layout says that it carries no rows.
    layout, ids = InputLayout(broadcast=frozenset({"txt_ids"})), torch.zeros(2, 3)
    assert signature(layout, txt_ids=ids) != signature(layout, txt_ids=ids + 1)
    assert signature(txt_ids=ids) == signature(txt_ids=ids + 1)


def test_value_dependent_rows() -> None:
    """Such rows share a batch only if their values are equal, and are repeated for each call."""
    layout = InputLayout(value_dependent=frozenset({"mask"}))
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    requests = [
        request({"mask": mask, "sample": torch.full((2, 3), value)}, layout) for value in (1.0, 2.0)
    ]
    assert requests[0].signature == requests[1].signature
    other = request({"mask": mask.flip(0), "sample": torch.zeros(2, 3)}, layout)
    assert other.signature != requests[0].signature
    merged = unpack_call(batch_inputs(requests))
    assert torch.equal(merged["mask"], torch.cat([mask, mask])) and len(merged["sample"]) == 4


def test_ragged_rows_share_if_their_padded_lengths_are_equal() -> None:
    """The network pads to a multiple of four, so only the padded lengths select its arithmetic."""
    layout = InputLayout(ragged={"words": 4})

    def label(*lengths: int) -> str:
        words = [torch.zeros(length, 2) for length in lengths]
        return request({"words": words, "t": torch.zeros(len(words))}, layout).signature

    assert label(3, 5) == label(1, 8) != label(3, 4) and label(3) != label(5)


def test_list_of_rows_in_a_result() -> None:
    """A network with ragged inputs returns lists with one tensor per row."""
    result = ([torch.zeros(3), torch.ones(3)],)
    structure, found = tree_flatten(result, InputLayout(ragged={"words": 4}))
    assert [tuple(tensor.shape) for tensor in found] == [(2, 3)]
    (rows,) = tree_unflatten(structure, {"0": found[0] + 1})
    assert [row.tolist() for row in rows] == [[1.0] * 3, [2.0] * 3]


def test_keys_and_values_are_dropped() -> None:
    """No pipeline reads the cache of a language model."""
    output = transformers.modeling_outputs.BaseModelOutputWithPast(
        last_hidden_state=torch.zeros(1, 2), past_key_values=transformers.DynamicCache()
    )
    structure, found = tree_flatten(output)
    assert len(found) == 1
    assert tree_unflatten(structure, {"0": found[0]}).past_key_values is None


def test_merged_calls_are_split_again() -> None:
    """A batch has the rows of all calls in order; changing one call's rows changes no other's."""
    requests = [
        request(call(timestep=torch.tensor(t), sample=torch.full((2, 3), float(t)))) for t in (1, 2)
    ]
    merged = unpack_call(batch_inputs(requests))
    assert merged["timestep"].tolist() == [1, 1, 2, 2] and merged["return_dict"] is False
    (one,), (other,) = split_outputs((merged["sample"],), [2, 2])
    assert one.tolist() == [[1.0] * 3] * 2 and other.tolist() == [[2.0] * 3] * 2
    other += 1
    assert merged["sample"][2:].tolist() == [[2.0] * 3] * 2


def test_inputs_are_contiguous() -> None:
    """The choice of a kernel must not depend on the strides of one call."""
    packed = pack_call({"sample": torch.zeros(3, 2).T})
    assert packed["sample"].is_contiguous()  # type: ignore[union-attr]


def test_objects_are_refused() -> None:
    """An argument that has no digest is refused with its path."""
    with pytest.raises(TypeError, match=r"options\.generator is a Generator"):
        pack_call({"sample": torch.zeros(2, 3), "options": {"generator": torch.Generator()}})


def test_output_classes() -> None:
    """A result of transformers keeps its class, names and order."""
    output = transformers.modeling_outputs.BaseModelOutputWithPooling(
        last_hidden_state=torch.zeros(1, 2), hidden_states=(torch.ones(1, 2), torch.ones(1, 3))
    )
    structure, found = tree_flatten(output)
    assert [tuple(tensor.shape) for tensor in found] == [(1, 2), (1, 2), (1, 3)]
    restored = tree_unflatten(structure, {str(i): tensor + 5 for i, tensor in enumerate(found)})
    assert type(restored) is type(output) and restored.pooler_output is None
    assert torch.equal(restored[0], output[0] + 5)
    assert torch.equal(restored.hidden_states[1], output.hidden_states[1] + 5)


def test_masked_inputs_are_padded() -> None:
    """To a power of two from 64; the mask excludes what is added, and a given mask is kept."""
    layout = InputLayout(masked={"tokens": "mask"})
    for length, expected in ((1, 64), (64, 64), (65, 128), (300, 512)):
        tokens = torch.randn(2, length, 3)
        padded = pad_masked({"tokens": tokens, "timestep": 1}, layout)
        assert padded["tokens"].shape == (2, expected, 3) and padded["timestep"] == 1
        assert torch.equal(padded["tokens"][:, :length], tokens)
        assert not padded["tokens"][:, length:].any()
        assert padded["mask"].shape == (2, expected) and padded["mask"].dtype == torch.bool
        assert padded["mask"][:, :length].all() and not padded["mask"][:, length:].any()
    mask = torch.tensor([[True, False, True]])
    padded = pad_masked({"tokens": torch.ones(1, 3, 2), "mask": mask}, layout)
    assert padded["mask"].nonzero().tolist() == [[0, 0], [0, 2]]
