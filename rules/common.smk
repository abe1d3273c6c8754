"""Configuration, paths and specs. No rules."""

import csv
import functools
import importlib.util
import json
import os
import shlex
import sys
import warnings
from pathlib import Path

SCRIPTS = REPOSITORY / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))
if lacking := [name for name in ("numpy", "PIL", "zarr") if importlib.util.find_spec(name) is None]:
    raise WorkflowError(
        f"Waypoint plans with packages that the environment of Snakemake itself lacks ({', '.join(lacking)}): "
        f"pip install -r {REPOSITORY / 'envs/requirements.txt'}"
    )

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.patches.slurm import keep_unanswered_jobs
from waypoint.patches.snakemake_locks import keep_the_locks_of_others
from waypoint.patches.snakemake_reruns import let_artifacts_decide
from waypoint.store.artifacts.remote import set_aside
from waypoint.store.artifacts.replaced import replaced_bytes
from waypoint.workflow.bases import BASES
from waypoint.workflow.closing import groups_in_words, idle_in_words, noise_in_words, trust_in_words
from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.read_config import read_config
from waypoint.workflow.evaluations.classifier import KINDS
from waypoint.workflow.evaluations.fid import needed_weights, require_fid_weights
from waypoint.workflow.evaluations.forgetting import compared_methods
from waypoint.workflow.evaluations.lds import PANELS, TABLES, panels, subset_models
from waypoint.workflow.evaluations.likelihood import judged, methods_below
from waypoint.workflow.evaluations.registry import EVALUATIONS, asked
from waypoint.workflow.evaluations.removals import methods_of, other_models, without_models
from waypoint.workflow.evaluations.split_half import halved
from waypoint.workflow.evaluations.step_scores import methods_by_step
from waypoint.workflow.estimate.nominal import expected
from waypoint.workflow.plan.listed_images import require_listed_images
from waypoint.workflow.plan.method_inputs import MASK, PLACES, SOURCE, files, paths
from waypoint.workflow.plan.plan import Plan
from waypoint.workflow.plan.stages import STAGES
from waypoint.workflow.plan.start import Start
from waypoint.workflow.terminal.showing import show

TERMINAL = show(workflow, logs_are_here=workflow.storage_settings.default_storage_provider is None)

# config.yaml is the default experiment; another config file replaces it entirely
if not workflow.overwrite_configfiles:

    configfile: REPOSITORY / "config.yaml"


MISSING = "WAYPOINT_MISSING_ENCODERS"  # set for jobs, which read the configuration again, perhaps on other machines


def missing_encoders():
    """Return the names of the image encoders that the main process found missing; None in that process."""
    return None if workflow.is_main_process else json.loads(os.environ.get(MISSING, "null"))


try:
    keep_the_locks_of_others()
    if workflow.is_main_process:
        for path in workflow.overwrite_configfiles:
            read_config(path)  # Snakemake itself takes the last of two keys of one name
    with warnings.catch_warnings(record=True) as LEFT_OUT:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", WaypointWarning)
        PLAN = Plan(complete(config, missing_encoders(), workflow.config_settings.config))
        if workflow.is_main_process:  # jobs read this file again
            require_listed_images(PLAN)
            if PLAN.config["groups"] is not None:
                # imports Zarr, for which other configurations need not wait
                from waypoint.workflow.plan.listed_groups import require_groups

                require_groups(PLAN)
        # Snakemake imports every executor that is installed
        if "snakemake_executor_plugin_slurm" in sys.modules:
            keep_unanswered_jobs(sys.modules["snakemake_executor_plugin_slurm"].Executor)
except WaypointError as error:
    # as a module without `config:`, this workflow sees the outer one's configuration
    inner = workflow.modifier.namespace is not None and workflow.overwrite_configfiles
    hint = " (as a module, Waypoint reads the outer --configfile unless the module names its own with `config:`)"
    raise WorkflowError(f"{error}{hint if inner and not workflow.modifier.skip_configfile else ''}")
if workflow.is_main_process:
    os.environ[MISSING] = json.dumps(sorted(set(config.get("image_encoders", {})) - set(PLAN.config["image_encoders"])))
    for warning in LEFT_OUT:
        print(f"Waypoint: warning: {warning.message}", file=sys.stderr)

# shell lines name scripts and external files by these variables, so that another place of the checkout or of a file is no
# reason to rerun
VARIABLES = {
    "WAYPOINT_SCRIPTS": SCRIPTS,
    "WAYPOINT_FID_WEIGHTS": needed_weights(PLAN) or "",
    "WAYPOINT_ENCODERS": json.dumps(PLAN.encoder_places),
    "WAYPOINT_DATA": json.dumps(PLAN.data_places),
}
# jobs move replaced results aside, within this folder
EXPORTED = {
    "WAYPOINT_ROOT": PLAN.root,
    "WAYPOINT_DELETE_REPLACED": "1" if PLAN.config["replace"] == "delete" else "",
}
assigned = "".join(f"{name}={shlex.quote(str(at))}; " for name, at in VARIABLES.items())
assigned += "".join(f"export {name}={shlex.quote(value)}; " for name, value in EXPORTED.items())
escaped = assigned.replace("{", "{{").replace("}", "}}")  # Snakemake formats it
# scripts lie in subfolders, and find the library by PYTHONPATH
library = 'export PYTHONPATH="$WAYPOINT_SCRIPTS${{PYTHONPATH:+:$PYTHONPATH}}"; '
shell.prefix(f"set -euo pipefail; {escaped}{library}")


pathvars:
    results=PLAN.root,
    logs=f"{PLAN.root}/logs",


wildcard_constraints:
    checkpoint=r"full/[0-9]+",
    m=r"[0-9]+",
    target=r"[A-Za-z0-9-]+",
    method="|".join([*PLAN.instances, "random", "none"]),
    basis="|".join(BASES),
    shard=r"[0-9]+",
    shards=r"[0-9]+",
    subset=r"[0-9]+",
    removal=r"[0-9]+",
    step=r"[0-9]+",
    n_remove=r"[0-9.e-]+",


# the training images as they come, and as models see them; empty if existing models are only sampled from
IMAGES = "data/images.zarr" if PLAN.encoded else "data/train.zarr"
DATA = [f"<results>/{IMAGES}", "<results>/data/train.zarr"] if PLAN.attributed else []
# the encoders of latent and text-conditional models; empty without them
VAE = "<results>/encoders/vae" if PLAN.config["vae"] else []
TEXT_ENCODER = "<results>/encoders/text" if PLAN.config["text_encoder"] else []
# the base of adapters, which is loaded with each of them; empty for other models
BASE = "<results>/checkpoints/base/0" if PLAN.base else []


def spec(stage):
    """Return the params function of a stage: one sorted JSON string of the config keys that its result depends on."""
    return lambda wildcards: PLAN.asked(stage, **wildcards)


def specs(stage):
    """Return the params function of bases that share a pass: a JSON list of their specs."""
    return lambda wildcards: PLAN.asked_together(stage, **wildcards)


# {stage: bases that share a pass}, and those with a pass each; without training images there are none
SHARING = ("featurize", "fisher_rows", "target_gradients")
TOGETHER = {stage: PLAN.together(stage) for stage in SHARING if PLAN.attributed}
ALONE = {stage: PLAN.alone(stage) for stage in SHARING if PLAN.attributed}


def call(script, inputs="", *options, out=None, outputs=""):
    """Return the shell command of a rule: its script with the spec, its inputs and outputs, and its log.

    Args:
        script: in workflow_scripts/, without .py. inputs: names of inputs, which are also the script's options.
        options: further options, as in the command.
        out: the output that the script calls --out; default: the rule's only one, if ``outputs`` is empty.
        outputs: names of further outputs, which are also options.
    """
    words = [f'python "$WAYPOINT_SCRIPTS"/{script}.py --spec {{params.spec:q}}']
    words += [f"--{name} {{input.{name}:q}}" for name in inputs.split()]
    words += options
    if out or not outputs:
        words.append(f"--out {{output{f'.{out}' if out else ''}:q}}")
    words += [f"--{name} {{output.{name}:q}}" for name in outputs.split()]
    return " ".join([*words, "--log {log:q}"])


REMOTE = workflow.storage_settings.default_storage_provider is not None


def carried(*paths):
    """Return paths as inputs for a remote store only, where jobs see only declared files; elsewhere they find them."""
    return list(paths) if REMOTE else []


def beside(*files):
    """Return the files with the attributes of tables and lists."""
    return carried(*(f"{Path(file).parent}/.{Path(file).name}.json" for file in files))


def outside(paths):
    """Mark files outside the store as no reason to rerun: specs hold their hashes."""
    return ancient(local(paths)) if paths else []


@functools.cache
def own(rule):
    """Return whether a rule belongs to this workflow, not to one that includes it, and makes artifacts."""
    return Path(rule.snakefile).is_relative_to(RULES) and "spec" in rule.params.keys()


def own_job(job):
    """Return whether a job is of such a rule."""
    return own(job.rule)


def forced(job):
    """Return whether the command line forces a job to run."""
    return job.rule in job.dag.forcerules or not job.dag.forcefiles.isdisjoint(job.output)


def downstream(job):
    """Return this workflow's jobs that depend on a job, directly or not."""
    return [reader for reader in job.dag.bfs(job.dag.depending, job) if reader is not job and own_job(reader)]


def dry():
    """Return whether nothing may be written: in a dry run, with --touch, or without a run."""
    return workflow.executor_plugin is None or workflow.dryrun or workflow.touch


START = Start(PLAN, REMOTE, dry, forced, downstream)
if TERMINAL is not None:
    TERMINAL.expect = lambda counts: expected(PLAN, counts, [] if REMOTE else START.jobs, workflow.rules)
    TERMINAL.collects = lambda rule: not workflow.get_rule(rule).output
let_artifacts_decide(
    own_job,
    START if workflow.is_main_process else None,
    (lambda files: set_aside(files, PLAN.root)) if REMOTE else None,
)


# resources by the Slurm class of a stage or a row of workflow/methods.py; sites and their limits are in
# slurm/config.yaml. Rules form a group only if a profile gives its size: a dry run shows jobs of groups in another form
SLURM_GROUPS = {"small": "reports", "panel": "panels"}
SMALL = {"slot": 1, "runtime": lambda wildcards, attempt: 10 * attempt}
SLURM_RESOURCES = {
    None: {},
    "small": SMALL,
    "panel": SMALL,
    "matrices": {},
    "gpu": {"gpu": 1},
}


def submitted_with(kind):
    """Return the group of the rule that scores by methods of one kind."""
    group = "scoring" if kind.slurm == "small" else None
    return lambda wildcards: group if group in workflow.group_settings.group_components else None


def in_group(stage):
    """Return the group of a stage's rule, by its Slurm class."""
    group = SLURM_GROUPS.get(STAGES[stage].slurm)
    return lambda wildcards: group if group in workflow.group_settings.group_components else None


def submitted_as(stage):
    """Return the resources of a stage's rule, by its Slurm class."""
    return SLURM_RESOURCES[STAGES[stage].slurm]


def made(kind, *names):
    """Return the stores, tables or figures of the configured evaluations: of those named, or of all."""
    evaluations = [evaluation for name, evaluation in asked(PLAN.config).items() if name in (names or EVALUATIONS)]
    paths = [path for evaluation in evaluations for path in getattr(evaluation, kind)(PLAN)]
    return [f"<results>/{path}" for path in dict.fromkeys(paths)]


def scores_from(kind):
    """Return the named inputs of the rule that scores by methods of one kind."""

    def input_function(name):
        if name in (SOURCE, MASK):
            return lambda w: outside(files(PLAN, name, w.method, w.target))
        return lambda w: [f"<results>/{path}" for path in paths(PLAN, name, w.method, w.target)]

    base = {"base": BASE} if BASE and "generator" in kind.reads else {}
    return {name: input_function(name) for name in kind.reads} | base


def options_of(kind):
    """Return the params function of the same rule: its script's options for its inputs.

    They are no part of the shell command: Snakemake evaluates that when a job runs, long after the loop over all kinds.
    """

    def options(wildcards, input, output):
        words = [word for name in kind.reads for word in (f"--{name}", *paths_of(input, name))]
        if kind.one_pass:  # where one job leaves the scores of other targets, and all targets
            waiting = Path(output[0]).parents[2] / "resume/scores" / wildcards.method
            words += ["--waiting", str(waiting), "--targets", *PLAN.targets]
        return shlex.join(words)

    return options


def paths_of(input, name):
    """Return the paths of a named input: one, several or none."""
    value = input.get(name)
    return [str(value)] if isinstance(value, str) else [str(path) for path in value]


def rows_of(kind, wildcards):
    """Return the train features or Fisher rows that a method's kernel is made from, if it is of that kind."""
    if PLAN.kind(wildcards.method).kernel != kind:
        return []
    return f"<results>/{kind}/{PLAN.basis(wildcards.method)}/{wildcards.checkpoint}.zarr"


def mapped_by(wildcards):
    """Return the path of the map of a checkpoint's gradients in a basis, if it has one."""
    return maps_of(wildcards.basis, [wildcards.checkpoint])


def mapped_together(stage):
    """Return the input function of these paths for the bases that share a pass, in their order."""
    return lambda wildcards: [path for basis in TOGETHER[stage] for path in maps_of(basis, [wildcards.checkpoint])]


def maps_of(basis, checkpoints):
    """Return these paths for several checkpoints."""
    place = PLACES.get(BASES[basis].map)
    return [f"<results>/{place.format(checkpoint=name)}" for name in checkpoints] if place else []


def generating_model(wildcards):
    """Return the model that made a target."""
    return f"<results>/checkpoints/{PLAN.targets[wildcards.target]['checkpoint']}"


def scores_removed_by(wildcards):
    """Return the scores that tell which images a method removes; random removals follow from the seed."""
    if wildcards.method in ("random", "none"):
        return []
    return f"<results>/scores/{wildcards.method}/{wildcards.target}.zarr"


def full_models(wildcards):
    """Return the models of the full set that a target is compared with."""
    return expand("<results>/checkpoints/{name}", name=other_models(PLAN, wildcards.target))


def models_without(section):
    """Return the input function of models retrained without a method's top images; for `none`, of the full set."""

    def folders(wildcards):
        if wildcards.method == "none":
            return full_models(wildcards)
        names = without_models(PLAN, section, wildcards.target, wildcards.method)
        return expand("<results>/checkpoints/{name}", name=names)

    return folders


def refuse_missing_weights(dag):
    """End the run before its first job if a planned job lacks Inception's weights."""
    if any(job.rule.name in ("counterfactual_original", "counterfactual_without") for job in dag.needrun_jobs()):
        try:
            require_fid_weights(PLAN)
        except WaypointError as error:
            sys.exit(f"Waypoint: {error}")


def said_of_images():
    """Return (target, summary) of every given image."""
    table = Path(PLAN.root, "tables/given_images.csv")
    if not PLAN.given or not table.exists():
        return []
    with open(table, newline="", encoding="utf-8") as handle:
        return [(row["target"], row["words"]) for row in csv.DictReader(handle) if row["what"] == "summary"]


def ending(later):
    """Return the first closing line: "Done" only if all requested results exist.

    Args:
        later: says what has to be made again, or is empty.
    """
    asked = [path for job in workflow.dag.targetjobs for path in job.output or job.input]
    missing = [path for path in asked if not REMOTE and not Path(path).exists()]
    if missing:
        return f"Not done: {len(missing)} of {len(asked)} results are not there, {missing[0]} first. Run the same command again"
    if later:
        return f"Results are in {PLAN.root}/, but some have to be made again: the last line says which"
    whole = any(job.rule.name == "all" for job in workflow.dag.targetjobs)
    return f"Done. {'Everything' if whole else 'What was asked for'} is in {PLAN.root}/"


def closing_words(later):
    """Return the lines that say where the results are and how to open them."""
    first, method = next(iter(PLAN.targets)), next(iter(PLAN.config["methods"]), "none")
    # `make run` does not activate the environment in the user's shell: then name its Python by its path
    activated = sys.prefix in (os.environ.get("VIRTUAL_ENV"), os.environ.get("CONDA_PREFIX"))
    python = "python" if activated else os.path.relpath(sys.executable)
    config = "".join(f" --configfile {os.path.relpath(file)}" for file in workflow.overwrite_configfiles or [])
    table, scores = f"{PLAN.root}/tables/top_influences.csv", f"{PLAN.root}/scores/{method}/{first}.zarr"
    rows = f"(t.method == '{method}') & (t.target == '{first}') & (t.sign == '+') & (t['rank'] <= 5)"
    top = f"t[{rows}][['step', 'rank', 'file', 'score', 'found']].to_string(index=False)"
    ways = [
        (
            f"{PLAN.root}/figures/models",
            f"models    {PLAN.root}/figures/models/*/*.png: first see whether their samples look right",
        ),
        (f"{PLAN.root}/figures/{first}", f"pictures  {PLAN.root}/figures/*/*.png"),
        (table, f"table     {python} -c \"import pandas; t = pandas.read_csv('{table}'); print({top})\""),
        (scores, f"scores    {python} -c \"import xarray; print(xarray.open_zarr('{scores}')['score'].to_pandas())\""),
        (
            f"{PLAN.root}/figures/lds.png",
            f"LDS       {PLAN.root}/figures/lds.png and {PLAN.root}/tables/lds_summary.csv",
        ),
        (
            f"{PLAN.root}/tables/group_influences.csv",
            f"groups    {PLAN.root}/figures/*/groups.png and {PLAN.root}/tables/group_influences.csv",
        ),
        (f"{PLAN.root}/tables", f"report    {python} -m snakemake --report report.zip{config}"),
    ]
    lines = [f"  {line}" for path, line in ways if Path(path).exists()]
    lines += [f"  {target}: {words}" for target, words in said_of_images()]
    if size := replaced_bytes(PLAN.root):
        lines.append(f"  earlier results are kept in {PLAN.root}/replaced, {size / 1e6:,.1f} MB: make clean-replaced")
    try:
        remarks = remarks_on(method)
    except WaypointError as error:  # somebody saved a table in another form
        remarks = [f"  Waypoint: warning: {error}"]
    return "\n".join(["", ending(later), "", *lines, "", *remarks])


def remarks_on(method):
    """Return the lines that say what the results of a method are worth.

    Raises:
        WaypointError: a table has changed since it was made.
    """
    trust = trust_in_words(PLAN.root, method)
    remarks = [f"  {method}: {trust}", ""] if trust else []
    if GROUP_TABLES and (groups := groups_in_words(PLAN.root, method)):
        remarks.insert(1, f"  groups by {method}: {groups}")
    if PLAN.attributed and (noise := noise_in_words(PLAN.root, PLAN.checkpoints)):
        remarks.insert(0, f"  Waypoint: warning: {noise}")
    if PLAN.base and (idle := idle_in_words(PLAN.root)):
        remarks.insert(0, f"  Waypoint: warning: {idle}")
    return remarks
