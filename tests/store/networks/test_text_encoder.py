"""Embedded captions against transformers called by hand; folders that are taken, and those that are refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import tiny_bert, tiny_clip
from transformers import AutoTokenizer, BertModel, CLIPTextModel, T5Config, T5EncoderModel, T5ForConditionalGeneration

from waypoint.errors import WaypointError
from waypoint.store.networks.text_encoder import TEXT_ENCODER_PARTS, TextEncoder, copy, text_encoder_identity

CAPTIONS = ["a red thing", "a blue square round thing indeed", ""]


@pytest.fixture
def bert(tmp_path):
    return tiny_bert(tmp_path / "bert")


@pytest.fixture
def clip(tmp_path):
    """The text model of a CLIPModel, alone, as a pipeline's folder text_encoder has it."""
    whole = tiny_clip(tmp_path / "whole")
    model, folder = CLIPTextModel.from_pretrained(whole), tmp_path / "clip"
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(whole, model_max_length=24).save_pretrained(folder)
    return str(folder)


def pipeline(folder, parts):
    """The same files as a pipeline's folder holds them."""
    for name in TEXT_ENCODER_PARTS[:2]:
        shutil.copytree(parts, folder / name)
    return str(folder)


def without_padding(tokenizer, caption, length):
    """Token ids of a caption, padded and cut by hand."""
    start, *words, end = tokenizer(caption).input_ids
    ids = [start, *words[: length - 2], end]
    return ids + [tokenizer.pad_token_id] * (length - len(ids)), len(ids)


def test_clip_attends_to_its_padding(clip):
    encoder, tokenizer = TextEncoder(clip), AutoTokenizer.from_pretrained(clip)
    found = encoder(CAPTIONS)
    assert (encoder.length, encoder.width) == (24, 16) and found.shape == (3, 24, 16)
    assert found.dtype == torch.float32 and not found.requires_grad
    with torch.no_grad():
        for row, caption in zip(found, CAPTIONS):
            ids, _ = without_padding(tokenizer, caption, 24)
            expected = CLIPTextModel.from_pretrained(clip)(torch.tensor([ids])).last_hidden_state[0]
            assert torch.allclose(row, expected, atol=1e-5)


def test_bert_does_not(bert):
    encoder, tokenizer = TextEncoder(bert), AutoTokenizer.from_pretrained(bert)
    found, model = encoder(CAPTIONS), BertModel.from_pretrained(bert)
    assert (encoder.length, encoder.width) == (8, 8) and found.shape == (3, 8, 8)
    with torch.no_grad():
        for row, caption in zip(found, CAPTIONS):
            ids, used = without_padding(tokenizer, caption, 8)
            # a caption's own vectors are those without any padding at all
            alone = model(torch.tensor([ids[:used]])).last_hidden_state[0]
            assert torch.allclose(row[:used], alone, atol=1e-5)
            mask = torch.tensor([[1] * used + [0] * (8 - used)])
            padded = model(torch.tensor([ids]), attention_mask=mask).last_hidden_state[0]
            assert torch.allclose(row, padded, atol=1e-5)


@pytest.mark.parametrize("length", [2, 4])
def test_captions_are_cut_and_padded_to_the_length_that_is_asked_for(bert, length):
    encoder = TextEncoder(bert, length)
    found = encoder(["a red thing", "a red square", "a"])
    assert encoder.length == length and found.shape == (3, length, 8)
    same = torch.equal(found[0], found[1])
    assert same and torch.equal(found[0], found[2]) == (length == 2)


def test_a_captions_vectors_do_not_depend_on_the_others(bert, clip):
    for encoder in map(TextEncoder, (bert, clip)):
        assert torch.allclose(encoder(CAPTIONS)[1], encoder(CAPTIONS[1:2])[0], atol=1e-5)


def test_the_text_model_of_a_whole_clip_is_taken(tmp_path, clip):
    whole = TextEncoder(tmp_path / "whole")
    assert whole.length == 24  # the model's own, its tokenizer states none
    assert torch.equal(whole(CAPTIONS), TextEncoder(clip)(CAPTIONS))


def test_a_pipelines_folder_is_taken(tmp_path, clip):
    found = TextEncoder(pipeline(tmp_path / "pipeline", clip))
    assert torch.equal(found(CAPTIONS), TextEncoder(clip)(CAPTIONS))


def test_an_encoder_stored_without_its_pooler_is_taken(tmp_path, bert):
    BertModel.from_pretrained(bert, add_pooling_layer=False).save_pretrained(tmp_path / "bare")
    AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path / "bare")
    assert torch.equal(TextEncoder(tmp_path / "bare")(CAPTIONS), TextEncoder(bert)(CAPTIONS))


def test_of_a_t5_the_encoder_is_taken(tmp_path, bert):
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "vocab_size": 80}
    model = T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0)).eval()
    model.save_pretrained(tmp_path / "t5")
    AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path / "t5")
    found = TextEncoder(tmp_path / "t5", 6)(CAPTIONS[:1])
    tokens = AutoTokenizer.from_pretrained(bert)(CAPTIONS[:1], padding="max_length", max_length=6, return_tensors="pt")
    with torch.no_grad():
        encoder = T5EncoderModel.from_pretrained(tmp_path / "t5").eval()
        expected = encoder(tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-5)


def rewrite(path, **changes):
    found = {**json.loads(Path(path).read_text()), **changes}
    Path(path).write_text(json.dumps({key: value for key, value in found.items() if value is not None}))


def test_more_tokens_than_the_model_has_positions_are_refused(bert, clip):
    for folder, limit in ((bert, 8), (clip, 24)):
        with pytest.raises(WaypointError, match=rf"text_encoder.max_length: {limit + 1} is more than the {limit} tok"):
            TextEncoder(folder, limit + 1)
        assert TextEncoder(folder, limit).length == limit


def test_the_shorter_of_two_limits_counts(bert):
    rewrite(Path(bert, "tokenizer_config.json"), model_max_length=5)
    assert TextEncoder(bert).length == 5


def test_without_any_limit_a_length_is_asked_for(tmp_path, bert):
    model = T5EncoderModel(T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, vocab_size=80))
    model.save_pretrained(tmp_path / "t5")
    AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path / "t5")
    rewrite(tmp_path / "t5/tokenizer_config.json", model_max_length=None)
    with pytest.raises(WaypointError, match="text_encoder.max_length: .*t5 has no limit of its own; set it"):
        TextEncoder(tmp_path / "t5")


DAMAGES = {
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "half the weights": lambda folder: (folder / "model.safetensors").write_bytes(
        (folder / "model.safetensors").read_bytes()[:1000]
    ),
    "no config": lambda folder: (folder / "config.json").unlink(),
    "broken config": lambda folder: (folder / "config.json").write_text("{"),
    "another kind of model": lambda folder: rewrite(folder / "config.json", model_type="vit"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_named(bert, damage):
    DAMAGES[damage](Path(bert))
    with pytest.raises(WaypointError) as caught:
        TextEncoder(bert)
    assert str(caught.value).startswith(f"text_encoder: {bert} cannot be loaded (")


@pytest.mark.parametrize("left", ["tokenizer_config.json", None])
def test_a_tokenizer_without_its_vocabulary_is_refused(bert, left):
    """transformers would take every word for the unknown one."""
    for file in Path(bert).glob("tokenizer*"):
        if file.name != left:
            file.unlink()
    with pytest.raises(
        WaypointError, match="text_encoder: .*bert has no vocabulary; a tokenizer needs .*tokenizer.json"
    ):
        TextEncoder(bert)


def test_weights_that_are_not_all_there_are_refused(bert):
    rewrite(Path(bert, "config.json"), num_hidden_layers=2)
    with pytest.raises(WaypointError, match="text_encoder: .*bert lacks the weights encoder.layer.1.attention"):
        TextEncoder(bert)


def test_pickled_weights_are_refused(bert):
    """Unpickling runs whatever code the file holds."""
    torch.save(BertModel.from_pretrained(bert).state_dict(), Path(bert, "pytorch_model.bin"))
    Path(bert, "model.safetensors").unlink()
    with pytest.raises(WaypointError, match="text_encoder: .*bert cannot be loaded"):
        TextEncoder(bert)


# ---- copies and their identity


def test_a_copy_holds_what_loading_needs_and_nothing_else(tmp_path, bert):
    for name in ("README.md", "pytorch_model.bin", "run.py"):
        Path(bert, name).write_text("else")
    for source, name in ((bert, "plain"), (pipeline(tmp_path / "pipeline", bert), "parts")):
        copy(source, tmp_path / name)
        assert torch.equal(TextEncoder(tmp_path / name)(CAPTIONS), TextEncoder(bert)(CAPTIONS))
        assert {file.suffix for file in (tmp_path / name).rglob("*") if file.is_file()} == {".json", ".safetensors"}


def test_of_a_pipeline_only_two_parts_are_copied(tmp_path, clip):
    source = Path(pipeline(tmp_path / "pipeline", clip))
    (source / "unet").mkdir()
    (source / "unet/config.json").write_text("{}")
    copy(str(source), tmp_path / "copy")
    assert sorted(part.name for part in (tmp_path / "copy").iterdir()) == ["text_encoder", "tokenizer"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(WaypointError, match=r"text_encoder \./nowhere: no such folder"):
        copy("./nowhere", tmp_path / "copy")


def test_identity_is_that_of_weights_settings_and_vocabulary(tmp_path, bert):
    first = text_encoder_identity(bert)
    Path(bert, "waypoint.json").write_text("{}")
    assert text_encoder_identity(bert) == text_encoder_identity(tiny_bert(tmp_path / "same")) == first
    assert text_encoder_identity(tiny_bert(tmp_path / "other", seed=1)) != first
    for name in ("config.json", "tokenizer.json"):
        other = Path(shutil.copytree(bert, tmp_path / f"changed-{name}"))
        with open(other / name, "a") as file:
            file.write("\n")
        assert text_encoder_identity(other) != first


def stored_otherwise(folder, names, change=dict):
    """Replace the safetensors of an encoder's folder by pickled files or a variant."""
    state = change(load_file(Path(folder, "model.safetensors")))
    Path(folder, "model.safetensors").unlink()
    if names[0].endswith(".safetensors"):
        save_file(state, Path(folder, names[0]), metadata={"format": "pt"})
    else:
        keys = list(state)
        for k, name in enumerate(names):
            torch.save({key: state[key] for key in keys[k :: len(names)]}, Path(folder, name))
    if len(names) > 1:
        place = {key: names[k % len(names)] for k, key in enumerate(keys)}
        Path(folder, "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": place}))


@pytest.mark.parametrize(
    "names",
    [
        ["pytorch_model.bin"],
        ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
        ["model.fp16.safetensors"],
    ],
    ids=["bin", "shards", "variant"],
)
def test_other_files_of_weights_are_stored_as_safetensors(tmp_path, bert, capfd, names):
    before = TextEncoder(bert)(["a red square", ""])
    stored_otherwise(bert, names)
    capfd.readouterr()
    copy(str(bert), tmp_path / "copy")
    found = {file.suffix for file in (tmp_path / "copy").iterdir()}
    assert ".safetensors" in found and ".bin" not in found
    assert torch.equal(TextEncoder(tmp_path / "copy")(["a red square", ""]), before)
    assert "rror" not in "".join(capfd.readouterr())


def test_position_ids_of_2022_do_not_hinder(tmp_path, clip):
    from transformers import CLIPTextModel

    CLIPTextModel.from_pretrained(clip).save_pretrained(clip)
    before = TextEncoder(clip)(["a dog"])
    more = {"text_model.embeddings.position_ids": torch.arange(24)[None]}
    stored_otherwise(clip, ["pytorch_model.bin"], lambda state: dict(state) | more)
    copy(str(clip), tmp_path / "copy")
    assert torch.equal(TextEncoder(tmp_path / "copy")(["a dog"]), before)


def test_pickled_objects_of_an_encoder_are_named(tmp_path, bert):
    Path(bert, "model.safetensors").unlink()
    torch.save({"x": Path("a")}, Path(bert, "pytorch_model.bin"))
    with pytest.raises(WaypointError, match="text_encoder: .* cannot be loaded: .* as tensors alone"):
        copy(str(bert), tmp_path / "copy")
