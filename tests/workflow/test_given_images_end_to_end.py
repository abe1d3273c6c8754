"""A given image adds jobs of its own to a run, and changes none of the others."""

import copy

from PIL import Image
from workspace import CONFIG, Workspace, own_jobs, panels, scores


def test_a_dry_run_plans_the_images_own_jobs(tmp_path):
    """Over an empty store both runs plan everything; the difference is what the image adds."""
    Image.new("RGB", (20, 14), "red").save(tmp_path / "made.png")
    sections = {"methods": ["pixel", "random", "trak"], "targets": [CONFIG["targets"][0]]}
    before = Workspace(tmp_path, {**copy.deepcopy(CONFIG), **sections})
    after = before.changed(targets=[CONFIG["targets"][0], {"id": "hers", "image": "made.png"}])
    old, new = before.planned(), after.planned()
    own = [job.replace("sample_trajectory", "invert_image") for job in own_jobs("hers")]
    own += [*panels("hers"), *scores("hers"), "compare_image target=hers", "given_images"]
    assert sorted(own) == sorted(set(new) - set(old)) and not set(old) - set(new)
