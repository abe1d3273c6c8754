"""The files that the page reads besides the store: an index, files for each target, and pictures.

    index.json                              the experiment: targets, steps, methods, groups and LDS
    lists/{method}/{target}.json            lists with their judgement by halves
    groups/{method}/{target}.json           sums of groups with both nulls
    members.json                            the training images of every group
    pictures/targets.webp                   every target's image
    pictures/lists/{method}/{target}.webp   the images of the lists
    pictures/estimates/{target}.webp        x̂0_t of each step, from noise to image
    pictures/train/{k}.webp                 training images, ``pictures.SHARD`` per file

Scores, names, captions, near-duplicates, x_t, x̂0_t and samples are read from the store's own arrays.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import zarr
from numpy.typing import NDArray

from waypoint.store.data.group_members import classes_of, members
from waypoint.store.data.image_names import ImageNames
from waypoint.store.types import array_of
from waypoint.store.zarr.reader import Rows, read
from waypoint.workflow.config.regions import pixels
from waypoint.workflow.explorer import lists, pictures
from waypoint.workflow.explorer.outlines import outline
from waypoint.workflow.explorer.process import SAMPLES, Process
from waypoint.workflow.figures.judged import judged_by
from waypoint.workflow.figures.read_scores import in_words, models_of
from waypoint.workflow.jobs.compared_image import Compared
from waypoint.workflow.plan.specs import settings_of

FORM = 1  # format version of index.json; the page refuses any other
LDS_COLUMNS = ("mean", "low", "high", "of_ceiling")


class Target(TypedDict):
    """A target of the page: its id, the id of its whole image, and its mask, a box or the hash of a PNG, or None."""

    id: str
    whole: str
    mask: list[int] | dict[str, str] | None


class Method(TypedDict):
    """A method of the page, and whether it is a control."""

    name: str
    control: bool


@dataclass
class Opened:
    """The inputs of the page, open and verified.

    Attributes:
        data, near: stores. trajectories, samples: stores by target. scores: stores by (method, target).
        top: path of tables/top_influences.csv. lds, groups: paths of tables/lds_summary.csv and
            tables/group_influences.csv, or None. members: image indices by group. masks: path of the PNG by target.
        compared: store of a given image's comparison by the id of the whole image, which its masks share.
        targets, methods: in the configuration's order.
    """

    data: zarr.Group
    near: zarr.Group
    trajectories: dict[str, zarr.Group]
    samples: dict[str, zarr.Group]
    scores: dict[tuple[str, str], zarr.Group]
    top: str
    lds: str | None
    groups: str | None
    members: dict[str, NDArray[np.int64]]
    masks: dict[str, str]
    compared: dict[str, zarr.Group]
    targets: list[Target]
    methods: list[Method]


def open_all(job) -> Opened:
    """Return the open inputs of a job that makes the page.

    Raises:
        WaypointError: an input is damaged or was made with other settings.
    """
    args, settings = job.args, job.settings["explorer"]
    data, scores = job.open(args.data), [job.open(path) for path in args.scores]
    # in the configuration's order, like the paths
    targets = list(dict.fromkeys(store.attrs["target"] for store in scores))
    methods = list(dict.fromkeys(store.attrs["method"] for store in scores))
    names, groups, group_files = ImageNames(data), job.settings.get("groups"), iter(args.lists)
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
            {name: next(group_files) for name in sorted(groups["files"])},
            classes_of(data, groups["by"], names),
            groups["by"],
        )
        if groups
        else {},
        masks={name: next(pngs) for name in targets if isinstance(settings["targets"][name]["mask"], dict)},
        compared={store.attrs["target"]: store for store in map(job.open, args.compared)},
        targets=[Target(id=name, **settings["targets"][name]) for name in targets],
        methods=[{"name": name, "control": settings["controls"][name]} for name in methods],
    )


def write(opened: Opened, folder: Path, experiment: str, store: str, images: Sequence[int] | None, report=None) -> None:
    """Write everything but the page's own files into a folder.

    Args:
        store: path from the page to the experiment's store. images: the training images to include; None: all.
        report: called with the number of pictures done and the number of all pictures.
    """
    images_of = Rows(array_of(opened.data, "image"))
    _write_json(folder / "index.json", _index(opened, experiment, store, images))
    _write_lists(opened, folder, images_of)
    if opened.members:
        _write_json(folder / "members.json", _included(opened.members, images))
    finals = [read(array_of(opened.trajectories[row["id"]], "image")) for row in opened.targets]
    pictures.save_sheet(folder / "pictures/targets.webp", finals, pictures.ACROSS, pictures.CHOSEN)
    for row in opened.targets:
        estimates = process_of(opened, row["id"]).x0_hat()[::-1]
        pictures.save_sheet(folder / f"pictures/estimates/{row['id']}.webp", estimates, pictures.ACROSS, pictures.THUMB)
    ids = range(len(images_of)) if images is None else images
    _write_train(images_of, folder / "pictures/train", ids, report)


def process_of(opened: Opened, name: str) -> Process:
    """Return the process of a target at the steps with scores."""
    scores = next(store for (_, target), store in opened.scores.items() if target == name)
    return Process(opened.trajectories[name], opened.samples[name], sorted(read(array_of(scores, "step")).tolist()))


def _index(opened, experiment, store, images):
    """Return the content of index.json."""
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


def _write_lists(opened, folder, images_of):
    """Write the lists and group sums of every target and method, and the pictures of the lists' images."""
    captions = read(opened.data["caption"]) if "caption" in opened.data else None
    for (method, target), rows in lists.by_method_and_target(_rows(opened.top)).items():
        if (method, target) not in opened.scores:
            continue
        content = lists.listed(rows)
        listed = content["images"]["train"]
        if captions is not None:
            content["images"]["caption"] = [str(captions[i]) for i in listed]
        content["judged"], content["by"] = judged_by(opened.scores[method, target])
        _write_json(folder / f"lists/{method}/{target}.json", content)
        path = folder / f"pictures/lists/{method}/{target}.webp"
        pictures.save_sheet(path, images_of[listed], pictures.LISTED_ACROSS, pictures.THUMB)
    for (method, target), rows in lists.by_method_and_target(_rows(opened.groups)).items():
        if (method, target) in opened.scores:
            _write_json(folder / f"groups/{method}/{target}.json", lists.summed(rows))


def _rows(path):
    """Return a table's rows; none if there is no table."""
    if path is None:
        return []
    with open(path, newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False), encoding="utf-8")


def _in_words(opened):
    """Return the numbers of training images, targets and models in words."""
    models = [models_of(store) or 0 for store in opened.scores.values()]
    targets = len({target for _, target in opened.scores})
    return in_words({"targets": targets, "images": opened.data["image"].shape[0], "models": max(models)})


def _target(opened, row):
    """Return the index's entry of a target."""
    name, whole = row["id"], row["whole"]
    trajectory, samples = opened.trajectories[name], opened.samples[name]
    settings = settings_of(trajectory.attrs["spec"])["target"]
    any_scores = next(store for (_, target), store in opened.scores.items() if target == name)
    steps, shape = sorted(read(any_scores["step"]).tolist()), trajectory["image"].shape
    entry = {"id": name, "steps": steps, "samples": min(SAMPLES, samples["sample"].shape[1]), "size": shape[1:]}
    entry |= {key: settings[key] for key in ("prompt", "label", "seed") if settings.get(key) is not None}
    class_names = opened.data["label"].attrs.get("class_names") if "label" in opened.data else None
    if "label" in entry and class_names:
        entry["class"] = class_names[entry["label"]]
    if whole != name:
        entry["whole"] = whole
    if row["mask"] is not None:
        entry["region"] = outline(pixels(row["mask"], opened.masks.get(name), shape[1:]))
    if whole in opened.compared:
        entry["said"] = Compared(opened.compared[whole], ImageNames(opened.data).files).sentence()
    return entry


def _method(opened, name, control):
    """Return the index's entry of a method."""
    stores = [store for (method, _), store in opened.scores.items() if method == name]
    return {"name": name, "control": control, "error": "score_se" in stores[0]}


def _trust(row):
    """Return the index's entry of a row of tables/lds_summary.csv."""
    numbers = {name: float(row[name]) if row.get(name) else None for name in LDS_COLUMNS}
    return {"method": row["method"], "step": int(row["step"]), "checkpoints": row["checkpoints"], **numbers}


def _included(groups, images):
    """Return {group: indices}, restricted to ``images`` unless that is None."""
    included = None if images is None else set(images)
    return {
        name: [int(i) for i in members if included is None or int(i) in included] for name, members in groups.items()
    }


def _write_train(images_of, folder, ids, report):
    """Write the pictures of the training images, ``pictures.SHARD`` per file."""
    for start in range(0, len(ids), pictures.SHARD):
        shard = list(ids[start : start + pictures.SHARD])
        path = folder / f"{start // pictures.SHARD}.webp"
        pictures.save_sheet(path, images_of[shard], pictures.ACROSS, pictures.THUMB)
        if report is not None:
            report(start + len(shard), len(ids))
