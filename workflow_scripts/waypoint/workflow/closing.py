"""The closing messages of a run: which images and groups are found, and how well scores predict retraining."""

import csv
from pathlib import Path

from waypoint.science.evaluation.adapter_effect import ERRORS
from waypoint.science.evaluation.sample_quality import SampleQuality
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.workflow.figures.lds_words import lds_in_words, overall_lds

MORE = "more models, or models trained for longer, may show some"
GROUPS = 3  # phrases on groups, at most
TARGETS = 6  # names of targets, at most
ALIKE, UNSURE = "not from groups that look alike", "its error is too large to call it found"
LEVEL = 0.05  # of q, as in science/evaluation/groups


def trust_in_words(root, method):
    """Return one line on the steps at which a method finds influences and on its LDS, or None if no table has either.

    Args:
        root: the experiment's folder.
    """
    parts, tables = [], Path(root, "tables")
    if (tables / "top_influences.csv").exists():
        parts.append(found_in_words(tables / "top_influences.csv", method))
    if (tables / "lds_overall.csv").exists():
        require_intact(tables / "lds_overall.csv")
        if lds := overall_lds(tables / "lds_overall.csv", method):
            parts.append(lds_in_words(lds))
    return "; ".join(part for part in parts if part) or None


def noise_in_words(root, checkpoints):
    """Return a sentence that names the models whose contact sheets show noise, or None if there are none.

    Args:
        root: the experiment's folder. checkpoints: the models' names.
    """
    sheets = {name: read_attributes(Path(root, f"figures/models/{name}.png")) or {} for name in checkpoints}
    noisy = [name for name, attributes in sheets.items() if attributes.get("noise")]
    if not noisy:
        return None
    first = sheets[noisy[0]]
    quality = SampleQuality(first["distance"], first["loss"]).in_words()
    models = f"model {noisy[0]} generates" if len(noisy) == 1 else f"{len(noisy)} models, {noisy[0]} first, generate"
    return (
        f"{models} noise, and {'its' if len(noisy) == 1 else 'their'} scores say nothing about images. {quality}. "
        f"Train longer, or see whether model and data belong together: {root}/figures/models/{noisy[0]}.png"
    )


def idle_in_words(root):
    """Return a line on adapters without an effect, and on targets for which no adapter has one; None without either.

    Args:
        root: the experiment's folder.
    """
    table = Path(root, "tables/adapter_effect.csv")
    if not table.exists():
        return None
    idle = (read_attributes(table) or {}).get("idle", [])
    parts = [_idle_adapters(idle), _unchanged_targets(table, idle)]
    return f"{'; '.join(part for part in parts if part)}: {table}" if any(parts) else None


def _idle_adapters(names):
    """Return a clause that names the adapters that have an effect on no target, or None if there are none."""
    if not names:
        return None
    subject = f"adapter {names[0]} does" if len(names) == 1 else f"{len(names)} adapters, {names[0]} first, do"
    return (
        f"{subject} nothing: f_t differs from that of the base alone by less than ten of its standard errors at every "
        "step of every target, and scores say nothing about images. Train longer, or raise training.learning_rate or "
        "adapter.rank"
    )


def _unchanged_targets(table, idle):
    """Return a clause that names the targets on which no adapter has an effect, or None if there are none.

    Args:
        table: the path of adapter_effect.csv. idle: adapters without an effect on any target, which are not counted.
    """
    adapters, largest = set(), {}  # {target: the largest effect at any step, in standard errors}
    with open(table, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["checkpoint"] not in idle:
                adapters.add(row["checkpoint"])
                largest[row["target"]] = max(float(row["standard_errors"]), largest.get(row["target"], 0.0))
    unchanged = [target for target, effect in largest.items() if effect < ERRORS]
    if not unchanged:
        return None
    subject = (
        "the adapter changes nothing" if len(adapters) == 1 else f"none of {len(adapters)} adapters changes anything"
    )
    if idle:
        subject = "no other adapter changes anything"
    names, more = unchanged[:TARGETS], len(unchanged) - TARGETS
    names += [f"{more} more"] if more > 0 else []
    targets = " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
    these = "this target say" if len(unchanged) == 1 else "these targets say"
    return f"{subject} that can be told apart from noise for {targets}, and scores of {these} nothing about images"


def found_in_words(table, method, target=None):
    """Return a clause that counts the steps at which any image is found, or says that nothing could be judged.

    None if the table has no rows of the method.

    Args:
        table: the path of top_influences.csv. target: the only target to count; default: all.
    """
    any_judged, confirmed, signs, steps, targets = False, set(), set(), set(), set()
    for row in _rows(table):
        if row["method"] != method or target not in (None, row["target"]):
            continue
        steps.add((row["target"], row["step"]))
        targets.add(row["target"])
        any_judged |= bool(row["found"])
        if row["found"] == "True":
            confirmed.add((row["target"], row["step"]))
            signs.add(row["sign"])
    if not steps:
        return None
    if not any_judged:
        return "no scores by checkpoint or half of the draws to tell influences from noise by"
    scope = f" of {len(targets)} targets" if len(targets) > 1 else ""
    if not confirmed:
        return f"found no influences at {len(steps)} step{'' if len(steps) == 1 else 's'}{scope}; {MORE}"
    one_side = {"+": ", all of them towards it", "-": ", all of them away from it"}
    side = one_side[signs.pop()] if len(signs) == 1 else ""
    return f"found influences at {len(confirmed)} of {len(steps)} step{'' if len(steps) == 1 else 's'}{scope}{side}"


def _rows(table):
    """Iterate over the rows of a table, whose values are text.

    Raises:
        WaypointError: the table has changed since it was made.
    """
    require_intact(table)
    with open(table, newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def groups_in_words(root, method):
    """Say which groups a method finds, and for which targets; return None if the method has no groups.

    Args:
        root: the experiment's folder.
    """
    table = Path(root, "tables/group_influences.csv")
    if not table.exists():
        return None
    groups, judged, found, beyond = set(), False, {}, {}
    for row in _rows(table):
        if row["method"] != method:
            continue
        key = row["group"], row["target"]
        groups.add(row["group"])
        judged |= bool(row["found"])
        if row["found"] == "True" and row["null"] == "random":
            side = "away from" if row["z"].startswith("-") else "towards"
            found.setdefault((*key, side), []).append(row["step"])
        elif row["found"] == "False":  # {group and target: {step: q by null}}
            beyond.setdefault(key, {}).setdefault(row["step"], {})[row["null"]] = float(row["q"])
    if not groups:
        return None
    if not judged:
        return "no scores by checkpoint or half of the draws, so no group can be told from chance"
    phrases = [f"“{group}” pushed {side} {target} at t = {', '.join(t)}" for (group, target, side), t in found.items()]
    phrases[GROUPS:] = [f"{len(phrases) - GROUPS} more"] if len(phrases) > GROUPS else []
    named = {group for group, *_ in found}
    by_random_groups = _stand_out(beyond, named)
    if len(by_random_groups) > GROUPS:
        phrases.append(f"{len(by_random_groups)} other groups stand out from random groups, but are not found")
    else:
        phrases += [
            f"“{group}” stands out from random groups for {' and '.join(targets)}, but {why}"
            for group, (targets, why) in by_random_groups.items()
        ]
    rest = len(groups - named - by_random_groups.keys())
    if rest and len(groups) == rest:
        phrases.append(f"{'the group cannot' if rest == 1 else f'none of the {rest} groups can'} be told from chance")
    elif rest:
        phrases.append(f"{rest} other{'s' * (rest > 1)} cannot be told from chance")
    return "; ".join(phrases)


def _stand_out(beyond, named):
    """Return the targets for which groups that are not found stand out from random groups, and why they are not found.

    Args:
        beyond: {(group, target): {step: {null: q}}} of sums that are not found. named: groups that are found anywhere.
    """
    groups = {}
    for (group, target), by_step in beyond.items():
        q_near = [q["neighbourhoods"] for q in by_step.values() if q["random"] <= LEVEL]
        if q_near and group not in named:
            groups.setdefault(group, ([], []))
            groups[group][0].append(target)
            groups[group][1].extend(q_near)
    return {group: (targets, ALIKE if max(q) > LEVEL else UNSURE) for group, (targets, q) in groups.items()}
