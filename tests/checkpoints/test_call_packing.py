"""Calls of modules as inputs of a forward: what is a row, what is constant, and the way back."""

from __future__ import annotations

from typing import Any

import pytest

from daguerre.engine.batching.batcher import merge, split
from daguerre.engine.forward import ForwardRequest

from .conftest import REASON

torch = pytest.importorskip("torch", reason=REASON)
transformers = pytest.importorskip("transformers", reason=REASON)

from daguerre.models.diffusers.call_packing import (  # noqa: E402
    pack_call,
    tree_flatten,
    tree_unflatten,
    unpack_call,
)
from daguerre.models.diffusers.family import PLAIN, InputLayout  # noqa: E402


def arguments(rows: int = 2, tokens: int = 5, **changes: Any) -> dict[str, Any]:
    return {
        "sample": torch.arange(float(rows * 3)).reshape(rows, 3),
        "timestep": torch.tensor(7),
        "encoder_hidden_states": torch.ones(rows, tokens, 2),
        "added_cond_kwargs": {"time_ids": torch.zeros(rows, 6), "resolution": None},
        "return_dict": False,
        **changes,
    }


def signature(layout: InputLayout = PLAIN, **changes: Any) -> str:
    return ForwardRequest("unet", pack_call(arguments(**changes), layout), "denoise").signature


def test_there_and_back() -> None:
    """A packed call is the call, but for a step that is told to each row."""
    call = arguments()
    back = unpack_call(pack_call(call))
    assert back["timestep"].tolist() == [7, 7]
    assert torch.equal(back["sample"], call["sample"])
    assert torch.equal(back["added_cond_kwargs"]["time_ids"], call["added_cond_kwargs"]["time_ids"])
    assert back["added_cond_kwargs"]["resolution"] is None and back["return_dict"] is False


def test_rows_do_not_show_in_the_signature() -> None:
    """Calls that differ in their rows only may share: other values, other steps, more rows."""
    alike = {
        signature(),
        signature(rows=4),
        signature(timestep=torch.tensor(900)),
        signature(sample=torch.full((2, 3), 0.5)),
    }
    assert len(alike) == 1


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
def test_everything_else_shows_in_the_signature(changes: dict[str, Any]) -> None:
    """Calls that differ in a shape, a type, an option or their structure never share."""
    assert signature(**changes) != signature()


def test_constants_are_told_by_their_content() -> None:
    """What carries no rows may be shared only where it is the same, down to the last bit."""
    ids = torch.zeros(7, 3)
    other = ids.clone()
    other[6, 2] = -0.0
    assert signature(img_ids=ids) == signature(img_ids=ids.clone())
    assert signature(img_ids=ids) != signature(img_ids=other)
    # As long as there are rows: only who knows the network knows that these are none.
    shared, ids = InputLayout(broadcast=frozenset({"txt_ids"})), torch.zeros(2, 3)
    assert signature(shared, txt_ids=ids) != signature(shared, txt_ids=ids + 1)
    assert signature(txt_ids=ids) == signature(txt_ids=ids + 1)


def test_values_that_choose_the_arithmetic() -> None:
    """A mask that the network counts is shared by equal ones only, and given to every row."""
    layout = InputLayout(value_dependent=frozenset({"mask"}))
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    alike, other = {"mask": mask, "sample": torch.zeros(2, 3)}, mask.flip(0)
    calls = [
        pack_call({**alike, "sample": torch.full((2, 3), value)}, layout) for value in (1.0, 2.0)
    ]
    forwards = [ForwardRequest("net", call, "denoise") for call in calls]
    assert forwards[0].signature == forwards[1].signature
    unlike = ForwardRequest("net", pack_call({**alike, "mask": other}, layout), "denoise")
    assert unlike.signature != forwards[0].signature
    merged = unpack_call(merge(forwards))
    assert torch.equal(merged["mask"], torch.cat([mask, mask])) and len(merged["sample"]) == 4


def test_lists_of_rows() -> None:
    """Lists with a tensor per row are put together, each with its own length, and taken apart."""
    layout = InputLayout(ragged={"words": 4})

    def call(*lengths: int) -> Any:
        words = [torch.full((length, 2), float(length)) for length in lengths]
        return pack_call({"words": words, "t": torch.zeros(len(words))}, layout)

    def label(*lengths: int) -> str:
        return ForwardRequest("net", call(*lengths), "denoise").signature

    # The network fills up to four: what fills to the same length takes the same arithmetic.
    assert label(3, 5) == label(1, 8) != label(3, 4) and label(3) != label(5)
    merged = unpack_call(
        merge([ForwardRequest("net", call(*each), "denoise") for each in ((3, 5), (1, 8))])
    )
    assert [len(words) for words in merged["words"]] == [3, 5, 1, 8]
    assert all((words == len(words)).all() for words in merged["words"])

    structure, tensors = tree_flatten(([torch.zeros(3), torch.ones(3)],), layout)
    assert [tuple(tensor.shape) for tensor in tensors] == [(2, 3)]
    (rows,) = tree_unflatten(structure, {"0": tensors[0] + 1})
    assert [row.tolist() for row in rows] == [[1.0] * 3, [2.0] * 3]


def test_what_the_next_word_would_need_stays() -> None:
    """A language model's keys and values are no result that a pipeline reads."""
    output = transformers.modeling_outputs.BaseModelOutputWithPast(
        last_hidden_state=torch.zeros(1, 2), past_key_values=transformers.DynamicCache()
    )
    structure, tensors = tree_flatten(output)
    assert (
        len(tensors) == 1 and tree_unflatten(structure, {"0": tensors[0]}).past_key_values is None
    )


def test_merged_calls_are_split_again() -> None:
    """The rows of several calls go in as one, and each call's own come out."""
    calls = [
        pack_call(arguments(timestep=torch.tensor(t), sample=torch.full((2, 3), t))) for t in (1, 2)
    ]
    forwards = [ForwardRequest("unet", call, "denoise") for call in calls]
    merged = unpack_call(merge(forwards))
    assert merged["timestep"].tolist() == [1, 1, 2, 2] and merged["return_dict"] is False
    (one,), (other,) = split((merged["sample"],), [2, 2])
    assert one.tolist() == [[1.0] * 3] * 2 and other.tolist() == [[2.0] * 3] * 2
    other += 1
    assert merged["sample"][2:].tolist() == [[2.0] * 3] * 2


def test_layout_is_normal() -> None:
    """A transposed tensor and its plain copy are one call: a kernel is not chosen by layout."""
    packed = pack_call({"sample": torch.zeros(3, 2).T})
    assert packed["sample"].is_contiguous()  # type: ignore[union-attr]


def test_objects_do_not_cross_over() -> None:
    """An argument that the engine cannot tell from another's is refused by its name."""
    with pytest.raises(TypeError, match=r"options\.generator is a Generator"):
        pack_call({"sample": torch.zeros(2, 3), "options": {"generator": torch.Generator()}})


def test_results_of_both_libraries() -> None:
    """A result keeps its class, its names and its order, and holds the tensors it is given."""
    made = transformers.modeling_outputs.BaseModelOutputWithPooling(
        last_hidden_state=torch.zeros(1, 2), hidden_states=(torch.ones(1, 2), torch.ones(1, 3))
    )
    structure, tensors = tree_flatten(made)
    assert [tuple(tensor.shape) for tensor in tensors] == [(1, 2), (1, 2), (1, 3)]
    numbered = {str(i): tensor + 5 for i, tensor in enumerate(tensors)}
    back = tree_unflatten(structure, numbered)
    assert type(back) is type(made) and back.pooler_output is None
    assert torch.equal(back[0], made[0] + 5)
    assert torch.equal(back.hidden_states[1], made.hidden_states[1] + 5)
