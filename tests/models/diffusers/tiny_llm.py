"""Tiny checkpoints of the families whose text encoder is a language model, like those of `tiny`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from bench.components import save, t5

from .text_encoders import MROPE, SMALL, gemma, gemma_tokenizer, qwen, qwen_tokenizer
from .tiny import WORDS, t5_tokenizer, unet, vae


def qwen_image(folder: Path) -> Path:
    torch.manual_seed(11)
    return save(
        diffusers.QwenImagePipeline,
        folder,
        transformer=diffusers.QwenImageTransformer2DModel(
            patch_size=2,
            in_channels=16,
            out_channels=4,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(8, 4, 4),
        ),
        vae=_qwen_vae(),
        text_encoder=qwen(),
        tokenizer=qwen_tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )


def z_image(folder: Path) -> Path:
    torch.manual_seed(12)
    transformer = diffusers.ZImageTransformer2DModel(
        in_channels=4,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[8, 4, 4],
        axes_lens=[768, 64, 64],
    )
    for token in (transformer.x_pad_token, transformer.cap_pad_token):
        torch.nn.init.normal_(token)  # else uninitialised memory
    return save(
        diffusers.ZImagePipeline,
        folder,
        transformer=transformer,
        vae=vae(shift_factor=0.1159),
        text_encoder=transformers.Qwen3Model(transformers.Qwen3Config(**SMALL)),
        tokenizer=qwen_tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def lumina_2(folder: Path) -> Path:
    torch.manual_seed(13)
    return save(
        diffusers.Lumina2Pipeline,
        folder,
        transformer=diffusers.Lumina2Transformer2DModel(
            sample_size=16,
            in_channels=4,
            hidden_size=32,
            num_layers=2,
            num_refiner_layers=1,
            num_attention_heads=2,
            num_kv_heads=1,
            multiple_of=16,
            axes_dim_rope=(8, 4, 4),
            cap_feat_dim=16,
        ),
        # Its pipeline assumes that a latent pixel is 8 x 8 pixels of the image.
        vae=vae(num_levels=4, shift_factor=0.1159),
        text_encoder=gemma(),
        tokenizer=gemma_tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=6.0),
    )


def sana(folder: Path) -> Path:
    scheduler = diffusers.DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    return _sana(diffusers.SanaPipeline, folder, scheduler)


def sana_sprint(folder: Path) -> Path:
    scheduler = diffusers.SCMScheduler()
    options = {"guidance_embeds": True, "qk_norm": "rms_norm_across_heads"}
    return _sana(diffusers.SanaSprintPipeline, folder, scheduler, **options)


def _sana(pipeline: Any, folder: Path, scheduler: Any, **options: Any) -> Path:
    torch.manual_seed(14)
    return save(
        pipeline,
        folder,
        transformer=diffusers.SanaTransformer2DModel(
            patch_size=1,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            num_attention_heads=2,
            attention_head_dim=8,
            num_cross_attention_heads=2,
            cross_attention_head_dim=8,
            cross_attention_dim=16,
            caption_channels=16,
            sample_size=32,
            **options,
        ),
        vae=diffusers.AutoencoderDC(
            latent_channels=4,
            attention_head_dim=2,
            encoder_block_types=("ResBlock", "EfficientViTBlock"),
            decoder_block_types=("ResBlock", "EfficientViTBlock"),
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_qkv_multiscales=((), (5,)),
            decoder_qkv_multiscales=((), (5,)),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            scaling_factor=0.41407,
        ),
        text_encoder=gemma(),
        tokenizer=gemma_tokenizer(),
        scheduler=scheduler,
    )


def cogview_4(folder: Path) -> Path:
    torch.manual_seed(19)
    return save(
        diffusers.CogView4Pipeline,
        folder,
        transformer=diffusers.CogView4Transformer2DModel(
            in_channels=4,
            out_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            text_embed_dim=16,
            time_embed_dim=16,
            condition_dim=8,
            sample_size=32,
            rope_axes_dim=(64, 64),
        ),
        # Its pipeline assumes that a latent pixel is 8 x 8 pixels of the image.
        vae=vae(num_levels=4),
        text_encoder=transformers.GlmModel(transformers.GlmConfig(**SMALL, pad_token_id=0)),
        tokenizer=t5_tokenizer(folder),  # like that of GLM, it adds a token to each text
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_shift=0.25, max_shift=0.75
        ),
    )


def ovis_image(folder: Path) -> Path:
    torch.manual_seed(20)
    return save(
        diffusers.OvisImagePipeline,
        folder,
        transformer=diffusers.OvisImageTransformer2DModel(
            in_channels=16,
            out_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(4, 4, 8),
        ),
        vae=vae(shift_factor=0.1159),
        text_encoder=transformers.Qwen3Model(transformers.Qwen3Config(**SMALL)),
        tokenizer=qwen_tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )


def flux_2(folder: Path) -> Path:
    """The tokenizer replaces the processor of real checkpoints, which needs torchvision."""
    torch.manual_seed(15)
    config = transformers.Mistral3Config(
        text_config={**SMALL, "model_type": "mistral", "num_hidden_layers": 31},
        vision_config={
            **{"model_type": "pixtral", "hidden_size": 16, "intermediate_size": 16},
            **{"num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32},
            "patch_size": 8,
        },
    )
    return save(
        diffusers.Flux2Pipeline,
        folder,
        text_encoder=transformers.Mistral3ForConditionalGeneration(config),
        **_flux_2(guidance_embeds=True),
    )


def flux_2_klein(folder: Path, is_distilled: bool = False) -> Path:
    torch.manual_seed(16)
    config = transformers.Qwen3Config(**{**SMALL, "num_hidden_layers": 28})
    return save(
        diffusers.Flux2KleinPipeline,
        folder,
        text_encoder=transformers.Qwen3ForCausalLM(config),
        is_distilled=is_distilled,
        **_flux_2(guidance_embeds=False),
    )


def krea_2(folder: Path, is_distilled: bool = False) -> Path:
    torch.manual_seed(17)
    config = transformers.Qwen3VLConfig(
        text_config={**SMALL, "rope_scaling": MROPE, "rope_parameters": MROPE},
        vision_config={
            **{"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2},
            **{"out_hidden_size": 16, "deepstack_visual_indexes": [0]},
        },
    )
    return save(
        diffusers.Krea2Pipeline,
        folder,
        transformer=diffusers.Krea2Transformer2DModel(
            in_channels=16,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            num_key_value_heads=1,
            intermediate_size=32,
            timestep_embed_dim=16,
            text_hidden_dim=16,
            num_text_layers=2,
            text_num_attention_heads=2,
            text_num_key_value_heads=2,
            text_intermediate_size=24,
            num_layerwise_text_blocks=1,
            num_refiner_text_blocks=1,
            axes_dims_rope=(8, 4, 4),
        ),
        vae=_qwen_vae(),
        text_encoder=transformers.Qwen3VLModel(config),
        tokenizer=qwen_tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        text_encoder_select_layers=(1, 2),
        is_distilled=is_distilled,
    )


def hunyuan_image(folder: Path, is_distilled: bool = False) -> Path:
    """Its guiders keep the state of earlier steps, from the second on."""
    torch.manual_seed(18)
    guider = diffusers.AdaptiveProjectedMixGuidance(adaptive_projected_guidance_start_step=1)
    return save(
        diffusers.HunyuanImagePipeline,
        folder,
        transformer=diffusers.HunyuanImageTransformer2DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=1,
            num_single_layers=1,
            num_refiner_layers=1,
            guidance_embeds=is_distilled,
            use_meanflow=is_distilled,
            text_embed_dim=16,
            text_embed_2_dim=16,
            rope_axes_dim=(4, 4),
        ),
        vae=diffusers.AutoencoderKLHunyuanImage(
            in_channels=3,
            out_channels=3,
            latent_channels=4,
            block_out_channels=(32, 64),
            layers_per_block=1,
            spatial_compression_ratio=2,
            sample_size=32,
            scaling_factor=0.75,
        ),
        text_encoder=qwen(),
        tokenizer=qwen_tokenizer(),
        text_encoder_2=t5(16),
        tokenizer_2=transformers.ByT5Tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=5.0),
        guider=None if is_distilled else guider,
        ocr_guider=None if is_distilled else guider.new(eta=0.5),
    )


def kolors(folder: Path) -> Path:
    """The configurations name code, as published ones do; it is not run."""
    import sentencepiece
    from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel
    from diffusers.pipelines.kolors.tokenizer import ChatGLMTokenizer

    files = folder.parent / f"{folder.name}-sentencepiece"
    files.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS)] * 50),
        model_prefix=str(files / "tokenizer"),
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    torch.manual_seed(31)
    config = ChatGLMConfig(
        num_layers=2,
        padded_vocab_size=80,
        hidden_size=32,
        ffn_hidden_size=40,
        kv_channels=8,
        num_attention_heads=4,
        seq_length=300,
        add_qkv_bias=True,
        multi_query_attention=True,
        multi_query_group_num=2,
        original_rope=True,
    )
    encoder = ChatGLMModel(config, empty_init=False)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # else uninitialised memory
    save(
        diffusers.KolorsPipeline,
        folder,
        unet=unet(
            cross_attention_dim=24,
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            transformer_layers_per_block=(1, 2),
            encoder_hid_dim=32,
            encoder_hid_dim_type="text_proj",
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 32,
        ),
        vae=vae(),
        text_encoder=encoder,
        tokenizer=ChatGLMTokenizer(str(files / "tokenizer.model")),
        scheduler=diffusers.EulerDiscreteScheduler(),
    )
    for file, name in (
        (folder / "text_encoder/config.json", "AutoModel"),
        (folder / "tokenizer/tokenizer_config.json", "AutoTokenizer"),
    ):
        code = {"auto_map": {name: "modeling_chatglm.Model"}}
        file.write_text(json.dumps(json.loads(file.read_text()) | code))
    return folder


MAKERS: Mapping[str, Callable[[Path], Path]] = {
    "qwen-image": qwen_image,
    "z-image": z_image,
    "lumina-2": lumina_2,
    "sana": sana,
    "sana-sprint": sana_sprint,
    "cogview-4": cogview_4,
    "ovis-image": ovis_image,
    "flux-2": flux_2,
    "flux-2-klein": flux_2_klein,
    "krea-2": krea_2,
    "hunyuan-image": hunyuan_image,
    "kolors": kolors,
}


def _flux_2(guidance_embeds: bool) -> dict[str, Any]:
    return {
        "transformer": diffusers.Flux2Transformer2DModel(
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=48,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=guidance_embeds,
        ),
        "vae": diffusers.AutoencoderKLFlux2(
            down_block_types=("DownEncoderBlock2D",),
            up_block_types=("UpDecoderBlock2D",),
            block_out_channels=(4,),
            layers_per_block=1,
            latent_channels=1,
            norm_num_groups=1,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        "tokenizer": qwen_tokenizer(),
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    }


def _qwen_vae() -> Any:
    return diffusers.AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[False, True],
        latents_mean=[0.1] * 4,
        latents_std=[1.5] * 4,
    )
