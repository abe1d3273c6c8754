"""The scripts of image encoders: embeddings and scores against explicit loops; a planted duplicate ranks first."""

import json

import numpy as np
import pytest
import torch
from support import run_script, store, tiny_clip

from waypoint.store.networks.image_encoder import ImageEncoder, weights_hash
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.plan.specs import settings_of

N, STEPS, PLANTED = 150, [100, 500], 137  # more than two batches


class Study:
    """Training images, a trajectory whose final image is training image PLANTED, and a tiny CLIP model."""

    def __init__(self, folder, channels):
        self.folder, self.place = folder, tiny_clip(folder / "clip")
        self.settings = {"kind": "clip", "sha256": weights_hash(self.place)}
        noise = np.random.default_rng(3).standard_normal((N, channels, 4, 4))
        self.images = np.tanh(np.kron(noise, np.ones((3, 3)))).astype(np.float32)
        self.data = store(folder / "train.zarr", image=(["train", "channel", "y", "x"], self.images))
        self.final = self.images[PLANTED] + 0.004
        self.trajectory = store(folder / "trajectory.zarr", image=(["channel", "y", "x"], self.final))

    def run(self, script, out, spec=None, places=None, **values):
        which = "encoder" if script == "embed_images" else "method"
        named = {which: "clip", "places": json.dumps(places or {"clip": self.place, "other": "elsewhere"})}
        spec = {"embed_images": {"version": 1, "image_encoder": self.settings}} | (spec or {})
        run_script(script, spec=spec, **named, **values, out=self.folder / out)
        return open_store(self.folder / out)

    def embeddings(self, **changes):
        return self.run("embed_images", "embedded.zarr", data=self.data, **changes)

    def scores(self, **changes):
        given = {"embeddings": self.folder / "embedded.zarr", "trajectory": self.trajectory, "target": "a"}
        spec = {"score_encoder": {"version": 1, "target": {"steps": STEPS}}}
        return self.run("score_encoder", "score.zarr", spec, **given, **changes)

    def embedded(self, image):
        """The embedding of one image."""
        return ImageEncoder("clip", self.settings, self.place)(torch.from_numpy(image)[None])[0].double()


@pytest.fixture(params=[1, 3], ids=["grey", "colour"])
def study(request, tmp_path):
    return Study(tmp_path, request.param)


def test_every_training_image_is_embedded(study):
    found = study.embeddings()
    assert found["embedding"].shape == (N, 8) and found["train"][:].tolist() == list(range(N))
    assert found.attrs["encoder"] == "clip" and settings_of(found.attrs["spec"])["image_encoder"] == study.settings
    for i in (0, 63, 64, 128, N - 1):
        assert np.allclose(found["embedding"][i], study.embedded(study.images[i]), atol=1e-4)


def test_scores_are_cosines_to_the_final_image(study):
    study.embeddings()
    found = study.scores()
    assert found.attrs["method"] == "clip" and found.attrs["target"] == "a" and found["step"][:].tolist() == STEPS
    final = study.embedded(study.final)
    for i in range(0, N, 7):
        mine = study.embedded(study.images[i])
        cosine = float((mine * final).sum() / (mine.norm() * final.norm()))
        assert np.allclose(found["score"][:, i], cosine, atol=1e-5)


def test_the_same_row_stands_at_every_step_and_a_planted_duplicate_ranks_first(study):
    study.embeddings()
    score = study.scores()["score"][:]
    assert score.shape == (2, N) and np.array_equal(score[0], score[1])
    assert score[0].argmax() == PLANTED and score[0, PLANTED] > 0.999


def refused(study, capsys, script, **changes):
    with pytest.raises(SystemExit):
        getattr(study, script)(**changes)
    return capsys.readouterr().err


def test_other_weights_than_planned_are_refused(tmp_path, capsys):
    study = Study(tmp_path, 1)
    places = {"clip": tiny_clip(tmp_path / "other", seed=1)}
    text = refused(study, capsys, "embeddings", places=places)
    assert "image_encoders.clip" in text and "changed while the workflow ran" in text
    assert not (tmp_path / "embedded.zarr").exists()


def test_embeddings_of_another_encoder_are_refused(tmp_path, capsys):
    study = Study(tmp_path, 1)
    study.embeddings()
    study.place = tiny_clip(tmp_path / "other", seed=1)
    study.settings = {"kind": "clip", "sha256": weights_hash(study.place)}
    text = refused(study, capsys, "scores")
    assert "embedded.zarr was made when image_encoder.sha256 was" in text
    assert not (tmp_path / "score.zarr").exists()
