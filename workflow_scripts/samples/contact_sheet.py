"""figures/models/{checkpoint}.png: what a model generates, and whether its loss was still falling at the end."""

import textwrap
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from waypoint.science.evaluation.sample_quality import blind_loss, quality
from waypoint.science.loss_curve import in_words, last_tenths
from waypoint.science.processes.ddpm import samples
from waypoint.science.processes.guidance import guided
from waypoint.science.random_streams import torch_stream
from waypoint.store.data.near_duplicates import nearest_other
from waypoint.store.data.training_set import conditions_of, inputs_of, null_of
from waypoint.store.zarr.reader import Rows, read
from waypoint.workflow.figures.listed import Listed
from waypoint.workflow.figures.style import RED, plt, save, show
from waypoint.workflow.jobs.decoding import decoder
from waypoint.workflow.jobs.duplicate_limit import flat, sample_of
from waypoint.workflow.jobs.job import run

POSITIONS = 1 << 18  # pixels or latent cells of samples per batch
LOSS_IMAGES, LOSS_DRAWS = 32, 8  # training images on which the loss is measured, and draws for each
FOOTNOTE = 17  # characters per inch of the text below the samples
LINE = 19  # characters of a caption that fit above its sample
SHEET, CURVE, TOP = 4.2, 4.2, 0.68  # inches: sides of the two panels, and the space above them


def main(job):
    device, data = job.device(), job.open(job.args.data)
    model = job.checkpoint(job.args.model).load(device)
    count, decode = job.settings["contact_sheet"]["samples"], decoder(job, device)
    rows = np.arange(count) % data["image"].shape[0]
    batch = max(1, POSITIONS // (model.shape[1] * model.shape[2]))
    images = []
    for start in range(0, count, batch):
        images.extend(decode(make_samples(job, model, data, range(count)[start : start + batch], rows)).numpy())
        job.progress(len(images), count, "samples")
    file, sample_quality = Path(job.args.model) / "loss.csv", compare_with_data(job, data, model, np.stack(images))
    kind, conditions = conditions_and_titles(data, model, rows)
    subtitle = f"{count} samples" + (f", for the {kind}s of the first training images" if kind else "")
    figure = draw(
        job.args.name, subtitle, images, conditions, pd.read_csv(file) if file.exists() else None, sample_quality
    )
    save(figure, job, **asdict(sample_quality), noise=sample_quality.noise)


def compare_with_data(job, data, model, images):
    """Return the ``SampleQuality`` of some generated images and of the model's loss on some training images."""
    array, listed = data["image"], Listed(job.open(job.args.near)).images
    sample = sample_of(job, len(listed))
    near = [nearest_other(flat(images), np.full(len(images), -1), vectors(array, listed))]
    near.append(nearest_other(flat(Rows(array)[listed[sample]]), sample, vectors(array, listed)))
    inputs, chosen = Rows(inputs_of(data)), listed[sample]
    x0 = inputs[chosen[:LOSS_IMAGES]]
    conditions = conditions_of(data, model, chosen[:LOSS_IMAGES])
    blind = blind_loss(inputs[chosen].var(0, ddof=1).mean(dtype=np.float64), model.alphas_cumprod.cpu().numpy())
    samples, usual = near
    return quality(samples, usual, noise_loss(job, model, x0, conditions), blind)


def vectors(array, rows):
    """Yield (start, images as vectors) of some rows of an array, block by block."""
    chosen, step = Rows(array, rows), max(1, array.chunks[0])
    for start in range(0, len(rows), step):
        yield start, flat(chosen[np.arange(start, min(len(rows), start + step))])


def noise_loss(job, model, x0, conditions):
    """Return the mean squared error of ε on some training images (n, C, H, W), each at steps all over the schedule."""
    losses = []
    for k in range(LOSS_DRAWS):
        stream = torch_stream(job.settings["seed"], "contact sheet loss", k)
        t = ((torch.arange(len(x0)) * LOSS_DRAWS + k + torch.rand(1, generator=stream)) * model.T).long()
        t = (t // (len(x0) * LOSS_DRAWS)).clamp(max=model.T - 1).to(model.device)
        image = torch.from_numpy(x0).to(model.device)
        epsilon = torch.randn(image.shape, generator=stream).to(model.device)
        condition = None if conditions is None else conditions[torch.arange(len(x0))].to(model.device)
        with torch.inference_mode():
            losses.append(model.noise_loss(image, t, epsilon, condition).cpu())
    return float(torch.cat(losses).mean())


def make_samples(job, model, data, numbers, rows):
    """Make the samples with these numbers, (numbers, C, H, W); each has its own random stream, equal for all models."""
    all_conditions, sampling = conditions_of(data, model, rows), job.settings["sampling"]
    conditions = None if all_conditions is None else all_conditions[np.array(numbers)].to(model.device)
    sampler = guided(model, null_of(data), sampling.get("guidance", 1))
    streams = [torch_stream(job.settings["seed"], "contact sheet", number) for number in numbers]
    return samples(sampler, sampling["steps"], streams, conditions)


def conditions_and_titles(data, model, rows):
    """Return the kind of condition, caption or label or None, and a title for each sample."""
    kind = {"encoder_hidden_states": "caption", "class_labels": "label", None: None}[model.conditioned_by]
    if kind is None:
        return None, [""] * len(rows)
    lines = [textwrap.wrap(str(value), LINE, max_lines=2, placeholder=" …") for value in read(data[kind])[rows]]
    return kind, ["\n".join(line).replace("$", r"\$") for line in lines]


def draw(name, subtitle, images, conditions, losses, sample_quality):
    """Draw the figure: samples on the left, and the loss curve, if there is one, on the right.

    Args:
        subtitle: the line below the model's name. images: (C, H, W) each. conditions: a title for each.
        losses: columns epoch and loss, or None. sample_quality: a ``SampleQuality``.
    """
    side = int(np.ceil(len(images) ** 0.5))
    lines = max(title.count("\n") + 1 if title else 0 for title in conditions)
    above = TOP + 0.13 * lines  # above the first row
    height = SHEET + 0.13 * lines * (side - 1)
    width = 0.2 + SHEET + (0.9 + CURVE if losses is not None else 0)
    footnote = textwrap.wrap(
        f"{'Noise. ' if sample_quality.noise else ''}{sample_quality.in_words()}.", int(FOOTNOTE * width)
    )
    below = 0.12 + 0.14 * len(footnote)
    size = (width, height + above + below)
    figure = plt.figure(figsize=size)
    cells = figure.add_gridspec(
        side,
        side,
        left=0.1 / size[0],
        right=(0.1 + SHEET) / size[0],
        bottom=below / size[1],
        top=1 - above / size[1],
        wspace=0.06,
        hspace=0.06 + 0.16 * lines,
    )
    for k, (image, title) in enumerate(zip(images, conditions)):
        axes = figure.add_subplot(cells[k // side, k % side])
        show(axes, image)
        axes.set_title(title, size=6.5, loc="center", pad=2)
    figure.text(0.1 / size[0], 1 - 0.2 / size[1], f"Model {name}", va="center", size=12)
    figure.text(0.1 / size[0], 1 - 0.48 / size[1], subtitle, va="center", size=9, color="#555555")
    color = RED if sample_quality.noise else "#555555"
    figure.text(0.1 / size[0], 0.06 / size[1], "\n".join(footnote), va="bottom", size=8, color=color)
    if losses is not None:
        left = (0.1 + SHEET + 0.8) / size[0]
        curve(
            figure.add_axes((left, (below + 0.38) / size[1], 0.98 - left, (height + above - TOP - 0.38) / size[1])),
            losses,
        )
        sentence = "\n".join(textwrap.wrap(in_words(losses["loss"].to_numpy()), 66))
        figure.text(left, 1 - (TOP - 0.12) / size[1], sentence, va="bottom", size=9)
    return figure


def curve(axes, losses):
    """Draw a loss curve, and behind it the two tenths that the sentence compares, with their means."""
    epoch, loss = losses["epoch"].to_numpy(), losses["loss"].to_numpy()
    axes.plot(epoch, loss, color="black", linewidth=1)
    for part, color in zip(last_tenths(len(epoch)) or (), ("#0072B2", "#E69F00")):
        axes.axvspan(epoch[part][0] - 0.5, epoch[part][-1] + 0.5, color=color, alpha=0.2, linewidth=0)
        axes.hlines(loss[part].mean(), epoch[part][0] - 0.5, epoch[part][-1] + 0.5, color=color, linewidth=2, zorder=3)
    axes.set(xlabel="epoch", ylabel="mean training loss", yscale="log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.tick_params(which="minor", labelsize=7)


if __name__ == "__main__":
    run(main, ["model", "data", "near", "vae?", "name", "out"])
