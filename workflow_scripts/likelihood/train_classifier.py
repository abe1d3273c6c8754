"""evaluation/classifiers/{kind}/: a classifier of the labelled images, trained normally or adversarially (B.10)."""

from waypoint.science.evaluation.classifier import ClassifierTrainer, accuracy, build, held_out, robust_accuracy
from waypoint.store.networks.classifier import read_labelled, save_classifier
from waypoint.workflow.jobs.job import run


def main(job):
    device, data = job.device(), job.open(job.args.data)
    kind, seed = job.args.kind, job.settings["seed"]
    recipe = job.settings["classifier"][kind]
    images, labels = read_labelled(data, job.args.data)
    train_rows, test_rows = held_out(len(images), recipe["holdout"], seed)
    network = build(images.shape[1], int(labels.max()) + 1, recipe["width"], seed, kind).to(device)
    trainer = ClassifierTrainer(network.train(), images[train_rows], labels[train_rows], recipe, seed, kind)
    while trainer.epoch < recipe["epochs"]:
        loss = trainer.run_epoch()
        job.progress(trainer.epoch, recipe["epochs"], "epochs", f"loss={loss:.4f}")
    network.eval()
    measurements = {"accuracy": accuracy(network, images[test_rows], labels[test_rows]), "held_out": len(test_rows)}
    if "radius" in recipe:
        measurements["robust_accuracy"] = robust_accuracy(network, images[test_rows], labels[test_rows], recipe, seed)
    save_classifier(network, job.args.out, lambda: job.provenance(kind=kind, **measurements))
    job.say(f"{kind}: {measurements}")


if __name__ == "__main__":
    run(main, ["data", "kind", "out"])
