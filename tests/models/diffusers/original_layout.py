"""Writes checkpoints in diffusers format as single files in the layout of the models' authors.

The names are the inverse of the conversion in diffusers' `single_file_utils`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

State = dict[str, torch.Tensor]
Renames = Mapping[str, str]  # pattern -> replacement, applied in order

UNET = "model.diffusion_model."
CLIP_L, CLIP_G = "text_encoders.clip_l.transformer.", "text_encoders.clip_g.transformer."
T5 = "text_encoders.t5xxl.transformer."

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_UNET_TOP = {
    r"^time_embedding\.linear_1": "time_embed.0",
    r"^time_embedding\.linear_2": "time_embed.2",
    r"^add_embedding\.linear_1": "label_emb.0.0",
    r"^add_embedding\.linear_2": "label_emb.0.2",
    r"^conv_in": "input_blocks.0.0",
    r"^conv_norm_out": "out.0",
    r"^conv_out": "out.2",
}
_VAE = {
    r"conv_norm_out": "norm_out",
    r"mid_block\.resnets\.0": "mid.block_1",
    r"mid_block\.resnets\.1": "mid.block_2",
    r"mid_block\.attentions\.0\.group_norm": "mid.attn_1.norm",
    r"mid_block\.attentions\.0\.to_([qkv])": r"mid.attn_1.\1",
    r"mid_block\.attentions\.0\.to_out\.0": "mid.attn_1.proj_out",
    r"down_blocks\.(\d+)\.resnets": r"down.\1.block",
    r"down_blocks\.(\d+)\.downsamplers\.0": r"down.\1.downsample",
    r"up_blocks\.(\d+)\.resnets": r"up.\1.block",
    r"up_blocks\.(\d+)\.upsamplers\.0": r"up.\1.upsample",
    r"conv_shortcut": "nin_shortcut",
}
_OPEN_CLIP = {
    r"^text_model\.": "",
    r"^embeddings\.position_embedding\.weight": "positional_embedding",
    r"^embeddings\.": "",
    r"^final_layer_norm": "ln_final",
    r"^text_projection\.weight": "text_projection",
    r"^encoder\.layers\.": "transformer.resblocks.",
    r"layer_norm": "ln_",
    r"self_attn": "attn",
    r"fc1": "c_fc",
    r"fc2": "c_proj",
    r"qkv\.(weight|bias)": r"in_proj_\1",
}
_TIME = {
    r"^time_text_embed\.timestep_embedder\.linear_1": "t_embedder.mlp.0",
    r"^time_text_embed\.timestep_embedder\.linear_2": "t_embedder.mlp.2",
    r"^time_text_embed\.text_embedder\.linear_1": "y_embedder.mlp.0",
    r"^time_text_embed\.text_embedder\.linear_2": "y_embedder.mlp.2",
}
_SD3 = {
    **_TIME,
    r"^pos_embed\.pos_embed": "pos_embed",
    r"^pos_embed\.proj": "x_embedder.proj",
    r"^transformer_blocks\.(\d+)\.": r"joint_blocks.\1.x_block.",
    r"x_block\.(norm1_context\.linear)": "context_block.adaLN_modulation.1",
    r"x_block\.norm1\.linear": "x_block.adaLN_modulation.1",
    r"x_block\.attn\.add_qkv": "context_block.attn.qkv",
    r"x_block\.attn\.norm_added_([qk])": r"context_block.attn.ln_\1",
    r"attn(2?)\.norm_([qk])": r"attn\1.ln_\2",
    r"x_block\.attn\.to_add_out": "context_block.attn.proj",
    r"to_out\.0": "proj",
    r"x_block\.ff_context\.net": "context_block.ff.net",
    r"ff\.net\.0\.proj": "mlp.fc1",
    r"ff\.net\.2": "mlp.fc2",
    r"^norm_out\.linear": "final_layer.adaLN_modulation.1",
    r"^proj_out": "final_layer.linear",
}
_FLUX = {
    r"^time_text_embed\.timestep_embedder\.linear_1": "time_in.in_layer",
    r"^time_text_embed\.timestep_embedder\.linear_2": "time_in.out_layer",
    r"^time_text_embed\.text_embedder\.linear_1": "vector_in.in_layer",
    r"^time_text_embed\.text_embedder\.linear_2": "vector_in.out_layer",
    r"^time_text_embed\.guidance_embedder\.linear_1": "guidance_in.in_layer",
    r"^time_text_embed\.guidance_embedder\.linear_2": "guidance_in.out_layer",
    r"^context_embedder": "txt_in",
    r"^x_embedder": "img_in",
    r"^norm_out\.linear": "final_layer.adaLN_modulation.1",
    r"^proj_out": "final_layer.linear",
    r"^single_transformer_blocks\.(\d+)\.": r"single_blocks.\1.",
    r"(single_blocks\.\d+)\.norm\.linear": r"\1.modulation.lin",
    r"(single_blocks\.\d+)\.attn\.norm_q\.weight": r"\1.norm.query_norm.scale",
    r"(single_blocks\.\d+)\.attn\.norm_k\.weight": r"\1.norm.key_norm.scale",
    r"(single_blocks\.\d+)\.attn\.qkv": r"\1.linear1",
    r"(single_blocks\.\d+)\.proj_out": r"\1.linear2",
    r"^transformer_blocks\.(\d+)\.": r"double_blocks.\1.",
    r"\.norm1\.linear": ".img_mod.lin",
    r"\.norm1_context\.linear": ".txt_mod.lin",
    r"\.attn\.qkv": ".img_attn.qkv",
    r"\.attn\.add_qkv": ".txt_attn.qkv",
    r"\.attn\.norm_q\.weight": ".img_attn.norm.query_norm.scale",
    r"\.attn\.norm_k\.weight": ".img_attn.norm.key_norm.scale",
    r"\.attn\.norm_added_q\.weight": ".txt_attn.norm.query_norm.scale",
    r"\.attn\.norm_added_k\.weight": ".txt_attn.norm.key_norm.scale",
    r"\.attn\.to_out\.0": ".img_attn.proj",
    r"\.attn\.to_add_out": ".txt_attn.proj",
    r"\.ff\.net\.0\.proj": ".img_mlp.0",
    r"\.ff\.net\.2": ".img_mlp.2",
    r"\.ff_context\.net\.0\.proj": ".txt_mlp.0",
    r"\.ff_context\.net\.2": ".txt_mlp.2",
}


def write(file: Path, *parts: State, metadata: Mapping[str, str] | None = None) -> Path:
    state = {name: tensor.contiguous() for part in parts for name, tensor in part.items()}
    save_file(state, file, metadata=dict(metadata) if metadata else None)
    return file


def tensors(module: Any) -> State:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def unet(module: Any, prefix: str = UNET) -> State:
    per_block = int(module.config.layers_per_block) + 1
    state = tensors(module)

    def rename(name: str) -> str:
        if found := re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", name):
            side, block, kind, layer, rest = found.groups()
            first = int(block) * per_block
            if kind == "downsamplers":
                return f"input_blocks.{first + per_block}.0.op.{rest.removeprefix('conv.')}"
            if kind == "upsamplers":
                has_attention = any(f"up_blocks.{block}.attentions." in key for key in state)
                return f"output_blocks.{first + per_block - 1}.{1 + has_attention}.{rest}"
            row = first + int(layer) + (side == "down")
            slot, rest = (0, _apply(_RESNET, rest)) if kind == "resnets" else (1, rest)
            return f"{'input' if side == 'down' else 'output'}_blocks.{row}.{slot}.{rest}"
        if found := re.match(r"mid_block\.resnets\.(\d)\.(.*)", name):
            return f"middle_block.{2 * int(found[1])}.{_apply(_RESNET, found[2])}"
        return _apply(_UNET_TOP, name.replace("mid_block.attentions.0", "middle_block.1"))

    return {prefix + rename(name): tensor for name, tensor in state.items()}


def vae(module: Any, prefix: str = "first_stage_model.") -> State:
    last = len(module.config.up_block_types) - 1
    found = {}
    for name, tensor in tensors(module).items():
        name = re.sub(r"up_blocks\.(\d+)", lambda m: f"up_blocks.{last - int(m[1])}", name)
        name = _apply(_VAE, name)
        is_attention = ".attn_1." in name and name.endswith("weight") and ".norm." not in name
        found[prefix + name] = tensor[:, :, None, None] if is_attention else tensor
    return found


def clip(module: Any, prefix: str) -> State:
    """The layout of transformers before version 5.6, in which all tensors are in `text_model`."""
    return {
        prefix + (name if name.startswith("text_") else f"text_model.{name}"): tensor
        for name, tensor in tensors(module).items()
    }


def open_clip(module: Any, prefix: str) -> State:
    state = _merge(tensors(module), r"(self_attn\.)q_proj", r"\1{}_proj", r"\1qkv")
    renamed = _rename(_OPEN_CLIP, state, prefix)
    name = f"{prefix}text_projection"
    return renamed | ({name: renamed[name].T} if name in renamed else {})


def t5(module: Any) -> State:
    """With `encoder.embed_tokens.weight`, a copy of `shared.weight` that diffusers needs."""
    return {T5 + name: tensor for name, tensor in tensors(module).items()}


def stable_diffusion_3(module: Any, prefix: str = UNET) -> State:
    state = _merge_attention(_swap(tensors(module), "norm_out.linear"))
    last = len(module.transformer_blocks) - 1
    return _rename(_SD3, _swap(state, f"transformer_blocks.{last}.norm1_context.linear"), prefix)


def flux(module: Any, prefix: str = "") -> State:
    state = _merge_attention(_swap(tensors(module), "norm_out.linear"))
    for name in [name for name in state if ".proj_mlp." in name]:
        attention = name.replace("proj_mlp", "attn.qkv")
        state[attention] = torch.cat([state[attention], state.pop(name)])
    return _rename(_FLUX, state, prefix)


def _merge_attention(state: State) -> State:
    state = _merge(state, r"(attn2?\.)to_q\b", r"\1to_{}", r"\1qkv")
    return _merge(state, r"(attn\.)add_q_proj", r"\1add_{}_proj", r"\1add_qkv")


def _merge(state: State, query: str, part: str, merged: str) -> State:
    """Joins queries, keys and values in one tensor."""
    state = dict(state)
    for name in [name for name in state if re.search(query, name)]:
        names = [re.sub(query, part.format(letter), name) for letter in "qkv"]
        state[re.sub(query, merged, name)] = torch.cat([state.pop(one) for one in names])
    return state


def _swap(state: State, layer: str) -> State:
    """The authors' order is shift and scale."""
    changed = {}
    for name in (f"{layer}.weight", f"{layer}.bias"):
        scale, shift = state[name].chunk(2)
        changed[name] = torch.cat([shift, scale])
    return state | changed


def _rename(renames: Renames, state: State, prefix: str) -> State:
    return {prefix + _apply(renames, name): tensor for name, tensor in state.items()}


def _apply(renames: Renames, name: str) -> str:
    for pattern, replacement in renames.items():
        name = re.sub(pattern, replacement, name)
    return name
