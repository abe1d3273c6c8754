"""The section ``methods``: a list or a mapping, and every mistake in it by key."""

import pytest
from support import UNET, tiny_config

from waypoint.errors import WaypointError
from waypoint.workflow.config.method_settings import step_methods

CLIP = {"image_encoders": {"clip": {"kind": "clip", "path": "some/clip"}}}


def completed(methods, **sections):
    return tiny_config({"unet": UNET}, methods=methods, **sections)


def test_a_list_is_a_mapping_without_settings():
    for given in (["trak", "pixel"], {"trak": {}, "pixel": {}}, {"trak": None, "pixel": None}):
        assert completed(given)["methods"] == {"trak": {"method": "trak"}, "pixel": {"method": "pixel"}}


def test_names_of_image_encoders_are_methods():
    assert completed({"clip": {}}, **CLIP)["methods"] == {"clip": {"method": "encoder"}}


def test_one_kind_may_be_listed_with_several_settings():
    strong = {"method": "trak", "kernel": {"damping": 0.3}}
    total = {"method": "trak-sum", "of": "strong"}
    found = completed({"trak": {}, "strong": strong, "total": total})
    assert found["methods"] == {"trak": {"method": "trak"}, "strong": strong, "total": total}
    assert step_methods(found) == ["trak", "strong"]


def test_wiener_is_refused_where_its_covariance_is_too_large_or_a_step_is_noise_alone():
    large, last = (
        {"sample_size": 128, "in_channels": 3, "out_channels": 3},
        [{"id": "a", "seed": 1, "steps": [100, 999]}],
    )
    sampled = {"methods": ["wiener"], "sampling": {"steps": 1000}, "targets": last}
    tiny_config({"unet": UNET, "scheduler": {"prediction_type": "v_prediction"}}, **sampled)
    dark = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    for model, words in (
        ({"unet": {**UNET, **large}}, ["methods: wiener", "49152 numbers", "12288"]),
        ({"unet": UNET, "scheduler": dark}, ["target a at step 999", "rescale_betas"]),
    ):
        with pytest.raises(WaypointError) as refused:
            tiny_config(model, **sampled)
        assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize(
    "methods, words",
    [
        (["trak", "trac"], ["methods[1]", "'trac'", "did you mean 'trak'?"]),
        ({"trac": {}}, ["methods.trac", "did you mean 'trak'?"]),
        ({"wholly-other": {}}, ["methods.wholly-other", "known are ekfac, trak, fisher, diagonal, d-trak, trak-sum"]),
        ({}, ["methods", "no method"]),
        ({"strong": {"kernel": {"damping": 1}}}, ["methods.strong", "needs method", "or scores"]),
        ({"strong": {"method": "track"}}, ["methods.strong.method", "'track'", "did you mean 'trak'?"]),
        ({"strong": {"method": "encoder"}}, ["methods.strong.method", "'encoder'"]),
        ({"pixel": {"kernel": {"damping": 1}}}, ["methods.pixel.kernel", "method pixel has no such setting"]),
        ({"trak": {"of": "pixel"}}, ["methods.trak.of", "method trak has no such setting"]),
        ({"trak": {"kernel": {"damp": 1}}}, ["methods.trak.kernel.damp", "did you mean 'damping'?"]),
        ({"trak": {"kernel": {"rows": 9}}}, ["methods.trak.kernel.rows", "the kernel of method trak has no such"]),
        ({"fisher": {"kernel": {"rows": 0}}}, ["methods.fisher.kernel.rows", "too small"]),
        ({"trak": {"kernel": {"damping": -1}}}, ["methods.trak.kernel.damping", "too small"]),
        ({"trak": {"dampin": 1}}, ["methods.trak.dampin"]),
        ({"trak": {"method": "pixel"}}, ["methods.trak.method", "belongs to another method"]),
        ({"trak": {"scores": "mine"}}, ["methods.trak.scores", "no such setting"]),
        ({"mine": {"method": "trak", "scores": "mine"}}, ["methods.mine", "leave out methods.mine.method"]),
        ({"trak-sum": {"of": "strong"}}, ["methods.trak-sum.of", "'strong' is not one of methods"]),
        ({"norm": {}, "trak-sum": {"of": "norm"}}, ["methods.trak-sum.of", "the same at every step"]),
        ({"none": {"method": "trak"}}, ["methods.none", "taken"]),
        ({"masks": {"method": "trak"}}, ["methods.masks", "taken"]),
        ({"Strong": {"method": "trak"}}, ["methods", "Strong"]),
        ({"clip": {"method": "trak"}}, ["methods.clip.method", "belongs to another method"]),
        ({"clip": {"kernel": {}}}, ["methods.clip.kernel", "an image encoder has no such setting"]),
        ({"mine": {"scores": "nowhere"}}, ["methods.mine.scores", "no folder nowhere"]),
    ],
)
def test_every_mistake_names_its_key(methods, words):
    with pytest.raises(WaypointError) as error:
        completed(methods, **CLIP)
    assert all(word in str(error.value) for word in words), str(error.value)
