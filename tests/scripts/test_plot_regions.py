"""The figure of an image's masks: which scores it reads, and where outlines lie."""

import numpy as np
import pytest
from PIL import Image
from support import run_script, store

from waypoint.workflow.figures.style import outline, plt, show

BOX = [0, 0, 4, 8]
DIMS = ["train", "channel", "y", "x"]


@pytest.fixture
def draw(tmp_path):
    """Draw one row whose scores are those of ``stored``."""
    rng = np.random.default_rng(0)
    data = store(tmp_path / "data.zarr", image=(DIMS, rng.uniform(-1, 1, (5, 1, 8, 8)).astype(np.float32)))
    trajectory = store(tmp_path / "x.zarr", image=(DIMS[1:], rng.uniform(-1, 1, (1, 8, 8)).astype(np.float32)))

    def drawn(mask, stored, pngs=()):
        spec = {"target": {"mask": stored}, "checkpoints": ["full/0"], "projection": {"kind": "sjlt", "dim": 4}}
        arrays = {"step": (["step"], [100, 400]), "score": (["step", "train"], rng.normal(size=(2, 5)))}
        scores = store(tmp_path / "s.zarr", {"spec": spec, "method": "trak"}, **arrays)
        own = {"figures": {"mask_step": 400}, "tables": {"top": 5}, "masks": [{"name": "a", "mask": mask}]}
        out = tmp_path / "masks.png"
        near = store(tmp_path / "near.zarr", first=(["train"], np.arange(5)))
        inputs = {"data": data, "near": near, "trajectory": trajectory, "scores": [scores], "pngs": list(pngs)}
        run_script("plot_regions", spec=own, **inputs, target="a", out=out)
        return out

    return drawn


def test_scores_of_another_mask_are_refused(draw, capsys):
    with pytest.raises(SystemExit):
        draw(BOX, [4, 0, 8, 8])
    assert "s.zarr holds scores of another mask" in capsys.readouterr().err


def test_a_box_and_the_png_that_paints_it_give_one_picture(draw, tmp_path):
    white = np.zeros((8, 8), np.uint8)
    white[:, :4] = 255
    Image.fromarray(white).save(tmp_path / "left.png")
    pictures = []
    for mask, pngs in ((BOX, []), ({"file": "hash"}, [tmp_path / "left.png"])):
        with Image.open(draw(mask, mask, pngs)) as picture:
            pictures.append(np.asarray(picture.convert("RGB")).astype(int))
    # the rows' scores are drawn at random: only the region, on the left, must agree
    left = [picture[:, : picture.shape[1] // 6] for picture in pictures]
    assert left[0].std() > 0 and np.array_equal(*left)


def test_an_outline_lies_inside_its_mask_and_leaves_the_image_in_place():
    axes = plt.figure().add_axes((0, 0, 1, 1))
    show(axes, np.zeros((1, 8, 8)))
    mask, limits = np.zeros((8, 8)), (axes.get_xlim(), axes.get_ylim())
    mask[2:5, 1:7] = 1
    outline(axes, mask, "red", "-")
    assert (axes.get_xlim(), axes.get_ylim()) == limits
    border = np.concatenate([path.vertices for line in axes.collections for path in line.get_paths()])
    # pixel k reaches from k - 0.5 to k + 0.5
    assert np.allclose(border.min(0), [0.5, 1.5], atol=0.3) and (border.min(0) > [0.5, 1.5]).all()
    assert np.allclose(border.max(0), [6.5, 4.5], atol=0.3) and (border.max(0) < [6.5, 4.5]).all()
    plt.close()
