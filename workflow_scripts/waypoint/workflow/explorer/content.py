"""What the page reads beside the store: an index, files of each target, and pictures.

    index.json                          the experiment: targets, steps, methods, groups, how far scores can be trusted
    lists/{method}/{target}.json        lists with what halves say of them; pictures/lists/ has its images
    groups/{method}/{target}.json       sums of groups beside both nulls
    members.json                        the training images of every group
    pictures/targets.webp               every target's image
    pictures/steps/{target}.webp        a row for each step, from noise to image: x_t, x̂0_t and samples of p(·|x_t)
    pictures/train/{k}.webp             training images, ``pictures.SHARD`` to a file

Scores, names, captions and near-duplicates are read from the store's own arrays.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from waypoint.store.data.group_members import classes_of, members
from waypoint.store.data.image_names import ImageNames
from waypoint.store.zarr.reader import Rows, read
from waypoint.workflow.config.regions import pixels
from waypoint.workflow.explorer import lists, pictures
from waypoint.workflow.explorer.outlines import outline
from waypoint.workflow.figures.judged import judged_by
from waypoint.workflow.figures.read_scores import in_words, models_of
from waypoint.workflow.jobs.compared_image import Compared
from waypoint.workflow.plan.specs import settings_of

FORM = 1  # of index.json: a page says so where it meets another one
TRUSTED = ("mean", "low", "high", "of_ceiling")


@dataclass
class Opened:
    """What the page is made from, open and verified.

    Attributes:
        data, near: stores. trajectories, samples: stores by target. scores: stores by (method, target).
        top: path of tables/top_influences.csv. lds, groups: paths of tables/lds_summary.csv and
            tables/group_influences.csv, or None. members: (N) image indices by group. masks: path of the PNG by target.
        compared: store by the id under which a given image's masks share it.
        targets: {"id", "whole", "mask"} of each, in the configuration's order. methods: {"name", "control"} of each.
    """

    data: Any
    near: Any
    trajectories: dict[str, Any]
    samples: dict[str, Any]
    scores: dict[tuple[str, str], Any]
    top: str
    lds: str | None
    groups: str | None
    members: dict[str, Any]
    masks: dict[str, str]
    compared: dict[str, Any]
    targets: list[dict[str, Any]]
    methods: list[dict[str, Any]]


def open_all(job) -> Opened:
    """Everything that a job of this page reads.

    Raises:
        WaypointError: what it reads is damaged, or made with other settings.
    """
    args, settings = job.args, job.settings["explorer"]
    data, scores = job.open(args.data), [job.open(path) for path in args.scores]
    # in the configuration's order, as paths come
    targets = list(dict.fromkeys(store.attrs["target"] for store in scores))
    methods = list(dict.fromkeys(store.attrs["method"] for store in scores))
    names, groups, lists_of_groups = ImageNames(data), job.settings.get("groups"), iter(args.lists)
    pngs = iter(args.pngs)
    return Opened(
        data=data,
        near=job.open(args.near),
        trajectories=dict(zip(targets, map(job.open, args.trajectories), strict=True)),
        samples=dict(zip(targets, map(job.open, args.samples), strict=True)),
        scores={(store.attrs["method"], store.attrs["target"]): store for store in scores},
        top=job.folder(args.top),
        lds=args.lds and job.folder(args.lds),
        groups=args.groups and job.folder(args.groups),
        members=members(
            names.files,
            {name: next(lists_of_groups) for name in sorted(groups["files"])},
            classes_of(data, groups["by"], names),
            groups["by"],
        )
        if groups
        else {},
        masks={name: next(pngs) for name in targets if isinstance(settings["targets"][name]["mask"], dict)},
        compared={store.attrs["target"]: store for store in map(job.open, args.compared)},
        targets=[{"id": name, **settings["targets"][name]} for name in targets],
        methods=[{"name": name, "control": settings["controls"][name]} for name in methods],
    )


def write(opened: Opened, folder: Path, experiment: str, store: str, images: Sequence[int] | None, told=None) -> None:
    """Write everything but the page's own files into a folder.

    Args:
        store: path from the page to the experiment's store. images: the training images that count; default all.
        told: called with the number of pictures that are done, and of all.
    """
    images_of = Rows(opened.data["image"])
    _write_json(folder / "index.json", _index(opened, experiment, store, images))
    _lists(opened, folder, images_of)
    if opened.members:
        _write_json(folder / "members.json", _counted(opened.members, images))
    finals = [read(opened.trajectories[row["id"]]["image"]) for row in opened.targets]
    pictures.save_sheet(folder / "pictures/targets.webp", finals, pictures.ACROSS, pictures.CHOSEN)
    for row in opened.targets:
        _steps(opened, row["id"], folder / f"pictures/steps/{row['id']}.webp")
    ids = range(len(images_of)) if images is None else images
    _train(images_of, folder / "pictures/train", ids, told)


def _index(opened, experiment, store, images):
    """What index.json holds."""
    count, channels, *size = opened.data["image"].shape
    names = ImageNames(opened.data)
    return {
        "form": FORM,
        "experiment": experiment,
        "store": store,
        "images": {
            "count": count,
            "ids": None if images is None else list(images),
            "cell": pictures.cell(size, pictures.THUMB),
            "size": size,
            "channels": channels,
            "shard": pictures.SHARD,
            "across": pictures.ACROSS,
            "listed_across": pictures.LISTED_ACROSS,
            "labelled": names.labelled,
            "named": names.named,
            "captioned": "caption" in opened.data,
            "classes": opened.data["label"].attrs.get("class_names") if names.labelled else None,
        },
        "made": _in_words(opened),
        "targets": [_target(opened, row) for row in opened.targets],
        "methods": [_method(opened, **row) for row in opened.methods],
        "made_from": {f"{m}/{t}": store.attrs["identity"] for (m, t), store in opened.scores.items()},
        "trust": [_trust(row) for row in _rows(opened.lds)],
        "groups": {name: len(members) for name, members in opened.members.items()},
    }


def _lists(opened, folder, images_of):
    """Lists and sums of groups of every target and method, and the pictures of the lists' images."""
    captions = read(opened.data["caption"]) if "caption" in opened.data else None
    for (method, target), rows in lists.by_scores(_rows(opened.top)).items():
        if (method, target) not in opened.scores:
            continue
        found = lists.listed(rows)
        listed = found["images"]["train"]
        if captions is not None:
            found["images"]["caption"] = [str(captions[i]) for i in listed]
        found["judged"], found["by"] = judged_by(opened.scores[method, target])
        _write_json(folder / f"lists/{method}/{target}.json", found)
        path = folder / f"pictures/lists/{method}/{target}.webp"
        pictures.save_sheet(path, images_of[listed], pictures.LISTED_ACROSS, pictures.THUMB)
    for (method, target), rows in lists.by_scores(_rows(opened.groups)).items():
        if (method, target) in opened.scores:
            _write_json(folder / f"groups/{method}/{target}.json", lists.summed(rows))


def _rows(path):
    """A table's rows; none where there is no table."""
    if path is None:
        return []
    with open(path, newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False), encoding="utf-8")


def _in_words(opened):
    """What was run: training images, targets and models."""
    models = [models_of(store) or 0 for store in opened.scores.values()]
    targets = len({target for _, target in opened.scores})
    return in_words({"targets": targets, "images": opened.data["image"].shape[0], "models": max(models)})


def _target(opened, row):
    """What the index says of a target."""
    name, whole = row["id"], row["whole"]
    trajectory, samples = opened.trajectories[name], opened.samples[name]
    made = settings_of(trajectory.attrs["spec"])["target"]
    any_scores = next(store for (_, target), store in opened.scores.items() if target == name)
    steps, shape = sorted(read(any_scores["step"]).tolist()), trajectory["image"].shape
    found = {"id": name, "steps": steps, "samples": min(4, samples["sample"].shape[1]), "size": shape[1:]}
    found |= {key: made[key] for key in ("prompt", "label", "seed") if made.get(key) is not None}
    names = opened.data["label"].attrs.get("class_names") if "label" in opened.data else None
    if "label" in found and names:
        found["class"] = names[found["label"]]
    if whole != name:
        found["whole"] = whole
    if row["mask"] is not None:
        found["region"] = outline(pixels(row["mask"], opened.masks.get(name), shape[1:]))
    if whole in opened.compared:
        found["said"] = Compared(opened.compared[whole], ImageNames(opened.data).files).sentence()
    return found


def _method(opened, name, control):
    """What the index says of a method."""
    stores = [store for (method, _), store in opened.scores.items() if method == name]
    return {"name": name, "control": control, "error": "score_se" in stores[0]}


def _trust(row):
    """A row of tables/lds_summary.csv."""
    found = {name: float(row[name]) if row.get(name) else None for name in TRUSTED}
    return {"method": row["method"], "step": int(row["step"]), "checkpoints": row["checkpoints"], **found}


def _counted(groups, images):
    """{group: indices} of those images that count."""
    counted = None if images is None else set(images)
    return {name: [int(i) for i in members if counted is None or int(i) in counted] for name, members in groups.items()}


def _steps(opened, name, path):
    """The picture of a target's steps, from noise to image."""
    trajectory, samples = opened.trajectories[name], opened.samples[name]
    of_target = next(store for (_, target), store in opened.scores.items() if target == name)
    grid, sampled, shown = read(trajectory["step"]).tolist(), read(samples["step"]).tolist(), []
    number = min(4, samples["sample"].shape[1])
    for t in sorted(read(of_target["step"]).tolist(), reverse=True):
        at = sampled.index(t)
        if "x_t_image" in samples:  # of latents, what they are decoded to
            x_t, x0_hat = (read(samples[part], at) for part in ("x_t_image", "x0_hat_image"))
        else:
            x_t, x0_hat = (read(trajectory[part], grid.index(t)) for part in ("x_t", "x0_hat"))
        shown += [x_t / max(1.0, float(np.abs(x_t).max()) / 2), x0_hat, *read(samples["sample"], at)[:number]]
    pictures.save_sheet(path, shown, 2 + number, pictures.SHOWN)


def _train(images_of, folder, ids, told):
    """The training images, some to a file."""
    for start in range(0, len(ids), pictures.SHARD):
        chosen = list(ids[start : start + pictures.SHARD])
        path = folder / f"{start // pictures.SHARD}.webp"
        pictures.save_sheet(path, images_of[chosen], pictures.ACROSS, pictures.THUMB)
        if told is not None:
            told(start + len(chosen), len(ids))
