"""Tiny checkpoints of the families whose text encoder is T5, like those of `tiny`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import diffusers
import torch
import transformers

from bench.components import save

from .tiny import pixart, t5, t5_tokenizer, vae


def pixart_alpha(folder: Path) -> Path:
    """A denoiser with this sample size also reads the image's size."""
    return pixart(
        diffusers.PixArtAlphaPipeline, folder, sample_size=128, use_additional_conditions=True
    )


def chroma(folder: Path) -> Path:
    torch.manual_seed(21)
    return save(
        diffusers.ChromaPipeline,
        folder,
        transformer=diffusers.ChromaTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            axes_dims_rope=(4, 4, 8),
            approximator_num_channels=8,
            approximator_hidden_dim=16,
            approximator_layers=1,
        ),
        vae=vae(shift_factor=0.1159),
        text_encoder=t5(32),
        tokenizer=t5_tokenizer(folder),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )


def aura_flow(folder: Path) -> Path:
    torch.manual_seed(22)
    config = transformers.UMT5Config(
        vocab_size=1200, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4
    )
    transformer = diffusers.AuraFlowTransformer2DModel(
        sample_size=32,
        patch_size=1,
        in_channels=4,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=32,
        caption_projection_dim=32,
        out_channels=4,
        pos_embed_max_size=256,
    )
    for parameter in transformer.parameters():
        parameter.data *= 3  # else the prompt changes no pixel
    return save(
        diffusers.AuraFlowPipeline,
        folder,
        transformer=transformer,
        vae=vae(),
        text_encoder=transformers.UMT5EncoderModel(config),
        tokenizer=t5_tokenizer(folder),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=1.73),
    )


def hunyuan_dit(folder: Path) -> Path:
    torch.manual_seed(23)
    files = folder.parent / f"{folder.name}-bert"
    files.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    (files / "vocab.txt").write_text("\n".join(words))
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=37,
    )
    return save(
        diffusers.HunyuanDiTPipeline,
        folder,
        transformer=diffusers.HunyuanDiT2DModel(
            sample_size=16,
            num_layers=2,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=3,
            in_channels=4,
            cross_attention_dim=32,
            cross_attention_dim_t5=32,
            pooled_projection_dim=4,
            hidden_size=24,
            activation_fn="gelu-approximate",
            text_len=77,
            text_len_t5=256,
        ),
        # Its pipeline assumes that a latent pixel is 8 x 8 pixels of the image.
        vae=vae(num_levels=4),
        text_encoder=transformers.BertModel(config),
        tokenizer=transformers.BertTokenizer.from_pretrained(files, model_max_length=77),
        text_encoder_2=t5(32),
        tokenizer_2=t5_tokenizer(folder),
        scheduler=diffusers.DDPMScheduler(prediction_type="v_prediction"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


MAKERS: Mapping[str, Callable[[Path], Path]] = {
    "chroma": chroma,
    "pixart-alpha": pixart_alpha,
    "aura-flow": aura_flow,
    "hunyuan-dit": hunyuan_dit,
}
