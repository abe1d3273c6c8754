"""The comparison of a given image with the training images (store of ``compare_image``) in rows and in words."""

import numpy as np

from waypoint.science.evaluation.given_image import RARE, explained_better, relative, verdict
from waypoint.store.zarr.reader import read
from waypoint.workflow.types import Config

PIXELS, EVENED = "pixels", "evened"  # what is compared: images as they are, or with brightness and contrast evened out


class Compared:
    """The contents of a store of ``compare_image``.

    Args:
        store: the open store. names: (N,) names of the training images, or None.
    """

    def __init__(self, store, names=None):
        self.target, self.inversion = store.attrs["target"], store.attrs["inversion"]
        keys = ("by", "nearest", "distance", "typical", "limit", "alike")
        self.nearest: list[Config] = [dict(zip(keys, row)) for row in zip(*(read(store[key]).tolist() for key in keys))]
        for row in self.nearest:
            row["file"] = "" if names is None else str(names[row["nearest"]])
            # only equal pixels make two images the same
            row["verdict"] = verdict(row["distance"], row["limit"], *([] if row["by"] == PIXELS else [-1.0]))
        self.steps, self.loss = read(store["step"]).tolist(), read(store["loss"])
        self.train_losses = read(store["train_loss"])
        self.held_out = read(store["held_out_loss"]) if "held_out_loss" in store else None

    def rows(self):
        """Iterate over rows of tables/given_images.csv: nearest images, losses by step and overall, and a summary."""
        target_columns = {"target": self.target, "inversion": self.inversion}
        for row in self.nearest:
            columns = {key: row[key] for key in ("distance", "typical", "limit", "nearest", "file", "alike")}
            yield {**target_columns, "what": row["by"], **columns, "words": row["verdict"]}
        train, held_out = self.shares()
        for s, step in enumerate([*self.steps, "all"]):
            over_all = step == "all"
            columns = {"loss": relative(self.loss, self.train_losses) if over_all else self.loss[s]}
            columns["typical"] = 1.0 if over_all else np.median(self.train_losses[:, s])
            columns |= {"train_share": train[s], "held_out_share": "" if held_out is None else held_out[s]}
            yield {**target_columns, "what": "loss", "step": step, **columns, "words": rating(train[s])}
        yield {**target_columns, "what": "summary", "words": self.sentence()}

    def shares(self):
        """Return the shares of training and held-out images that the model explains worse: by step, then overall."""
        whole = relative(self.loss, self.train_losses)
        shares = []
        for losses in (self.train_losses, self.held_out):
            if losses is None:
                shares.append(None)
                continue
            by_step = explained_better(self.loss, losses)
            shares.append([*by_step.tolist(), float(explained_better(whole, relative(losses, self.train_losses)))])
        return shares

    def sentence(self):
        """Return two sentences that summarise the comparison."""
        return f"{self.is_a_copy()}. {self.is_explained()}."

    def is_a_copy(self):
        """Return a clause that says whether the image is a training image."""
        pixels, copy = self.nearest[0], self.copy_of()
        if copy is None:
            distance = f"distance {pixels['distance']:.2g}, {pixels['limit']:.2g} and less would be a near-duplicate"
            return f"It is not a training image: the nearest is {label_of(pixels)} ({distance})"
        if copy["verdict"] == "same":
            return f"It is training image {label_of(copy)}"
        qualifier = (
            ""
            if copy["by"] == PIXELS
            else "up to brightness and contrast"
            if copy["by"] == EVENED
            else f"by {copy['by']}"
        )
        distance = f"distance {copy['distance']:.2g}"
        clause = f"{qualifier} it is a near-duplicate of training image {label_of(copy)} ({distance})".strip()
        return clause[0].upper() + clause[1:]

    def copy_of(self):
        """Return the first row that makes the image a training image or a near-duplicate of one, or None."""
        return next((row for row in self.nearest if row["verdict"] != "new"), None)

    def is_explained(self):
        """Return a clause that says how well the model explains the image."""
        train, held_out = (shares and shares[-1] for shares in self.shares())
        clause = f"The model explains it {WORDS[rating(train)]}: {compared_to(train)} of them"
        if held_out is not None:
            clause += f", and better than {held_out:.0%} of images that it was not trained on"
        return (
            f"{clause}. It can have made the picture; this is no proof that it did"
            if rating(train) == USUAL
            else clause
        )

    def line(self):
        """Return a short form of ``sentence`` for the header of a panel."""
        (train, _), copy = self.shares(), self.copy_of()
        description = {"same": "it is image", "near-duplicate": "near-duplicate of image"}
        description = (
            f"{description[copy['verdict']]} {copy['file'] or copy['nearest']}"
            if copy
            else f"not a training image, nearest {self.nearest[0]['file'] or self.nearest[0]['nearest']}"
        )
        return f"{description}; explained {compared_to(train[-1])} of training images"


def compared_to(share):
    """Return in words the share of images that are explained worse, or better if it is worse than almost all."""
    return f"worse than {1 - share:.0%}" if rating(share) == "worse" else f"better than {share:.0%}"


USUAL = "as usual"
WORDS = {
    "worse": "worse than almost all training images",
    USUAL: "as it explains its training images",
    "better": "better than almost all training images",
}


def rating(share):
    """Return worse, as usual or better for the share of images that are explained worse."""
    return "worse" if share < RARE else "better" if share > 1 - RARE else USUAL


def label_of(row):
    """Return a training image's index and file, and the number of images that show the same."""
    label = f"{row['nearest']} ({row['file']})" if row["file"] else f"{row['nearest']}"
    return label if row["alike"] < 2 else f"{label}, one of {row['alike']} that show the same"
