"""SDXL against diffusers' own pipeline, tiny and with random weights: captions, guidance, a whole trajectory."""

import shutil

import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from pipelines import POOLED, SDXL_UNET, WIDTH, sdxl, stable_diffusion
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from waypoint.errors import WaypointError
from waypoint.science.algorithm1 import train_loss
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.examples import train_example
from waypoint.science.networks.sdxl import pack, unpack
from waypoint.science.processes.ddpm import trajectory
from waypoint.science.processes.guidance import guided
from waypoint.store.networks import checkpoints
from waypoint.store.networks.text_encoder import copy, embedding_width, load_text_encoder

PROMPT, STEPS = "a dog", 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return sdxl(tmp_path_factory.mktemp("sdxl") / "whole")


@pytest.fixture(scope="module")
def pipeline(folder):
    """diffusers' pipeline of the same parts, sampling ancestrally."""
    return StableDiffusionXLPipeline(
        vae=AutoencoderKL.from_pretrained(folder, subfolder="vae"),
        text_encoder=CLIPTextModel.from_pretrained(folder, subfolder="text_encoder"),
        text_encoder_2=CLIPTextModelWithProjection.from_pretrained(folder, subfolder="text_encoder_2"),
        tokenizer=CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer"),
        tokenizer_2=CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer_2"),
        unet=UNet2DConditionModel.from_pretrained(folder, subfolder="unet"),
        scheduler=checkpoints.load(folder, sampler="ddpm").scheduler,
        add_watermarker=False,
    )


def test_a_pooled_caption_stands_behind_the_tokens_and_comes_back():
    text, pooled = torch.randn(3, 5, 8), torch.randn(3, 20)
    packed = pack(text, pooled)
    assert packed.shape == (3, 5 + 3, 8) and packed[:, -1, 4:].abs().max() == 0
    for found, given in zip(unpack(packed, 20), (text, pooled), strict=True):
        assert torch.equal(found, given)


def test_captions_are_the_pipelines(folder, pipeline):
    encoder = load_text_encoder(folder)
    given, null = encoder([PROMPT, ""])
    texts, nulls, pooled, null_pooled = pipeline.encode_prompt(PROMPT, do_classifier_free_guidance=True)
    assert given.shape == (12 + 1, 2 * WIDTH) == (encoder.length, encoder.width)
    for found, (text, of_all) in ((given, (texts, pooled)), (null, (nulls, null_pooled))):
        tokens, behind = unpack(found[None], POOLED)
        assert torch.allclose(tokens, text, atol=1e-6) and torch.allclose(behind, of_all, atol=1e-6)
    assert not torch.equal(given, encoder(["a cat"])[0])


def test_an_empty_caption_is_embedded_where_the_pipeline_embeds_it(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other/model_index.json").write_text('{"force_zeros_for_empty_prompt": false}')
    copy(str(tmp_path / "other"), tmp_path / "stored")
    assert load_text_encoder(tmp_path / "stored")([""]).abs().max() > 0
    copy(folder, tmp_path / "zeros")
    assert load_text_encoder(tmp_path / "zeros")([""]).abs().max() == 0


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_trajectory_is_the_pipelines(folder, pipeline, guidance):
    theta = checkpoints.load(folder, sampler="ddpm")
    given, null = load_text_encoder(folder)([PROMPT, ""])
    start = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    theirs = pipeline(
        PROMPT,
        latents=start,
        generator=torch.Generator().manual_seed(1),
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        height=32,
        width=32,
        output_type="latent",
    ).images
    noise = torch.Generator().manual_seed(1)
    *_, ours = trajectory(guided(theta, null, guidance), STEPS, start, noise, given[None])
    assert (ours - theirs[0]).abs().max() <= 1e-5 * theirs.abs().max()
    other = load_text_encoder(folder)(["something else"])
    *_, changed = trajectory(guided(theta, null, guidance), STEPS, start, torch.Generator().manual_seed(1), other)
    assert (changed - ours).abs().max() > 1e-3 * ours.abs().max()  # the caption is seen at all


def test_what_is_stored_is_opened_by_the_pipelines_class(folder, tmp_path):
    theta = checkpoints.load(folder, sampler="ddpm")
    checkpoints.save(theta.unet, theta.scheduler, tmp_path / "0")
    names = ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "image_encoder", "feature_extractor")
    found = StableDiffusionXLPipeline.from_pretrained(tmp_path / "0", **dict.fromkeys(names))
    assert isinstance(found.scheduler, DDPMScheduler) and found.unet.config.addition_embed_type == "text_time"


def test_widths_are_known_from_configurations(folder, tmp_path):
    assert embedding_width(folder) == SDXL_UNET["cross_attention_dim"]
    assert embedding_width(stable_diffusion(tmp_path / "sd")) == WIDTH


def test_captions_without_a_pooled_one_are_refused_by_name(folder):
    theta = checkpoints.load(folder, sampler="ddpm")
    with pytest.raises(WaypointError, match=f"SDXL.* needs a pooled caption of {POOLED} numbers"):
        theta.output(torch.randn(1, 4, 4, 4), 500, torch.randn(1, 1, 2 * WIDTH))


def test_more_tokens_than_an_encoder_has_are_refused(folder):
    with pytest.raises(WaypointError, match="max_length: 13 is more than the 12 tokens"):
        load_text_encoder(folder, 13)


def test_an_encoder_that_is_not_there_is_named(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "half")
    shutil.rmtree(tmp_path / "half/text_encoder")
    with pytest.raises(WaypointError, match="half/text_encoder cannot be loaded"):
        load_text_encoder(tmp_path / "half")


def test_gradients_of_every_layer_are_autograds(folder):
    """Also of the embedding of the pooled caption and of the sizes."""
    theta = checkpoints.load(folder, sampler="ddpm")
    theta.unet.double()  # whose rounding is far below the tolerance
    torch.manual_seed(0)
    captions = load_text_encoder(folder)([PROMPT, "a red cat"]).clone().double()  # no longer inference tensors
    draws = [(torch.tensor([k, 400]), torch.randn(2, 4, 4, 4).double()) for k in (100, 900)]
    examples = [
        train_example(torch.randn(4, 4, 4).double(), t, epsilon, caption[None])
        for (t, epsilon), caption in zip(draws, captions, strict=True)
    ]
    found = PerExampleGradients(theta.unet)(lambda rows: train_loss(theta, rows), examples)
    for row, example in zip(found, examples, strict=True):
        theta.unet.requires_grad_(True)
        expected = torch.autograd.grad(train_loss(theta, example).mean(), list(theta.unet.parameters()))
        flat = torch.cat([gradient.flatten() for gradient in expected])
        assert (row - flat).abs().max() <= 1e-8 * flat.abs().max()
    names = [name for name, _ in theta.unet.named_parameters()]
    of_sizes = [g for name, g in zip(names, expected, strict=True) if name.startswith("add_embedding")]
    assert len(of_sizes) == 4 and all(g.abs().max() > 0 for g in of_sizes)
