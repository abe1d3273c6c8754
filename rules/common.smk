"""Configuration, paths and specs. No rules."""

import csv
import functools
import json
import os
import shlex
import sys
import warnings
from pathlib import Path

REPOSITORY = Path(workflow.current_basedir).parent
RULES = Path(workflow.current_basedir)
SCRIPTS = REPOSITORY / "workflow_scripts"
if not SCRIPTS.is_dir():  # Snakemake fetches only the files that it includes itself
    raise WorkflowError(
        "Waypoint as a module needs its whole repository on this machine: clone it, and name the path of its Snakefile in "
        "`module …: snakefile:`"
    )
sys.path.insert(0, str(SCRIPTS))

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.patches.slurm import keep_unanswered_jobs
from waypoint.patches.snakemake_reruns import let_artifacts_decide
from waypoint.store.artifacts.remote import set_aside
from waypoint.store.artifacts.replaced import replaced_bytes
from waypoint.workflow.bases import BASES
from waypoint.workflow.closing import groups_in_words, idle_in_words, noise_in_words, trust_in_words
from waypoint.workflow.config.complete import complete
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

# config.yaml is the default experiment: another config file replaces it, nothing of it shines through
if not workflow.overwrite_configfiles:

    configfile: REPOSITORY / "config.yaml"


MISSING = "WAYPOINT_MISSING_ENCODERS"  # set for jobs, which read the configuration again, perhaps on other machines


def missing_encoders():
    """Names of the image encoders that the main process found missing; None in that process."""
    return None if workflow.is_main_process else json.loads(os.environ.get(MISSING, "null"))


try:
    with warnings.catch_warnings(record=True) as LEFT_OUT:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", WaypointWarning)
        PLAN = Plan(complete(config, missing_encoders(), workflow.config_settings.config))
        if workflow.is_main_process:  # jobs read this file again
            require_listed_images(PLAN)
            if PLAN.config["groups"] is not None:
                # opens Zarr, which other configurations need not wait for
                from waypoint.workflow.plan.listed_groups import require_groups

                require_groups(PLAN)
        # Snakemake imports every executor that is installed
        if "snakemake_executor_plugin_slurm" in sys.modules:
            keep_unanswered_jobs(sys.modules["snakemake_executor_plugin_slurm"].Executor)
except WaypointError as error:
    # as a module without `config:` this workflow sees what the outer one was given
    inner = workflow.modifier.namespace is not None and workflow.overwrite_configfiles
    hint = " (as a module, Waypoint reads the outer --configfile unless the module names its own with `config:`)"
    raise WorkflowError(f"{error}{hint if inner and not workflow.modifier.skip_configfile else ''}")
if workflow.is_main_process:
    os.environ[MISSING] = json.dumps(sorted(set(config.get("image_encoders", {})) - set(PLAN.config["image_encoders"])))
    for warning in LEFT_OUT:
        print(f"Waypoint: warning: {warning.message}", file=sys.stderr)

# shell lines name scripts, and weights from outside, by these variables: a checkout or a file that has moved, or another
# one, is no reason to rerun
VARIABLES = {
    "WAYPOINT_SCRIPTS": SCRIPTS,
    "WAYPOINT_FID_WEIGHTS": needed_weights(PLAN) or "",
    "WAYPOINT_ENCODERS": json.dumps(PLAN.encoder_places),
    "WAYPOINT_DATA": json.dumps(PLAN.data_places),
}
# jobs move what they replace aside, within this folder
EXPORTED = {
    "WAYPOINT_ROOT": PLAN.root,
    "WAYPOINT_DELETE_REPLACED": "1" if PLAN.config["replace"] == "delete" else "",
}
assigned = "".join(f"{name}={shlex.quote(str(at))}; " for name, at in VARIABLES.items())
assigned += "".join(f"export {name}={shlex.quote(value)}; " for name, value in EXPORTED.items())
escaped = assigned.replace("{", "{{").replace("}", "}}")  # Snakemake formats it
# scripts lie in folders: they find the library by PYTHONPATH
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


# the training images as they come, and as models see them; no input where given models are only sampled from
IMAGES = "data/images.zarr" if PLAN.encoded else "data/train.zarr"
DATA = [f"<results>/{IMAGES}", "<results>/data/train.zarr"] if PLAN.attributed else []
# the encoders of latent and text-conditional models; no input where there are none
VAE = "<results>/encoders/vae" if PLAN.config["vae"] else []
TEXT_ENCODER = "<results>/encoders/text" if PLAN.config["text_encoder"] else []
# the base of adapters, which lies beside them: whoever loads an adapter loads it too; no input of other models
BASE = "<results>/checkpoints/base/0" if PLAN.base else []


def spec(stage):
    """The params function of a stage: one sorted JSON string of the config keys that its result depends on."""
    return lambda wildcards: PLAN.asked(stage, **wildcards)


def specs(stage):
    """The params function where bases share a pass, which gives a JSON list of their specs."""
    return lambda wildcards: PLAN.asked_together(stage, **wildcards)


# {stage: bases that share a pass}, and those that have one each; without training images there are none
SHARING = ("featurize", "fisher_rows", "target_gradients")
TOGETHER = {stage: PLAN.together(stage) for stage in SHARING if PLAN.attributed}
ALONE = {stage: PLAN.alone(stage) for stage in SHARING if PLAN.attributed}


def call(script, inputs="", *options, out=None, outputs=""):
    """The shell command of a rule: its script with the spec, its inputs and outputs, and its log.

    Args:
        script: in workflow_scripts/, without .py. inputs: names of inputs, which are those of the script's options too.
        options: further ones, as they stand in the command.
        out: the output that the script calls --out; default the rule's only one, where ``outputs`` names no others.
        outputs: names of further outputs, which are those of options too.
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
    """Paths that jobs find for themselves, but not in a remote store: there they see only what is declared."""
    return list(paths) if REMOTE else []


def beside(*files):
    """Where the attributes of tables and lists lie."""
    return carried(*(f"{Path(file).parent}/.{Path(file).name}.json" for file in files))


def outside(paths):
    """Files that do not belong to the store and are no reason to rerun: specs hold their hashes."""
    return ancient(local(paths)) if paths else []


@functools.cache
def own(rule):
    """Whether a rule is of this workflow, not of another one that includes it, and makes artifacts."""
    return Path(rule.snakefile).is_relative_to(RULES) and "spec" in rule.params.keys()


def own_job(job):
    """Whether a job is of such a rule."""
    return own(job.rule)


def forced(job):
    """Whether the command line asks for a job to run."""
    return job.rule in job.dag.forcerules or not job.dag.forcefiles.isdisjoint(job.output)


def downstream(job):
    """This workflow's jobs that read what a job makes, directly or not."""
    return [reader for reader in job.dag.bfs(job.dag.depending, job) if reader is not job and own_job(reader)]


def dry():
    """Whether nothing may be written: a dry run, --touch, or something else than a run."""
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


# what a row of workflow/methods.py, or a stage, says of Slurm; sites and their limits are in
# slurm/config.yaml. Rules are a group only where a profile gives its size: a dry run shows jobs of groups in another form
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
    """The group of the rule that scores by methods of one kind."""
    group = "scoring" if kind.slurm == "small" else None
    return lambda wildcards: group if group in workflow.group_settings.group_components else None


def in_group(stage):
    """The group of the rule of a stage that says of itself that it is small."""
    group = SLURM_GROUPS.get(STAGES[stage].slurm)
    return lambda wildcards: group if group in workflow.group_settings.group_components else None


def submitted_as(stage):
    """The resources of the rule of a stage, by the class of Slurm that it says it is of."""
    return SLURM_RESOURCES[STAGES[stage].slurm]


def made(kind, *names):
    """What evaluations of the configuration make, those of some names or all: its stores, tables or figures."""
    evaluations = [evaluation for name, evaluation in asked(PLAN.config).items() if name in (names or EVALUATIONS)]
    paths = [path for evaluation in evaluations for path in getattr(evaluation, kind)(PLAN)]
    return [f"<results>/{path}" for path in dict.fromkeys(paths)]


def scores_from(kind):
    """The named inputs of the rule that scores by methods of one kind."""

    def lying(name):
        if name in (SOURCE, MASK):
            return lambda w: outside(files(PLAN, name, w.method, w.target))
        return lambda w: [f"<results>/{path}" for path in paths(PLAN, name, w.method, w.target)]

    base = {"base": BASE} if BASE and "generator" in kind.reads else {}
    return {name: lying(name) for name in kind.reads} | base


def options_of(kind):
    """The params function of the same rule: what its script is handed of its inputs.

    Not a part of the shell command: Snakemake evaluates that when a job runs, long after the loop over all kinds.
    """

    def options(wildcards, input, output):
        words = [word for name in kind.reads for word in (f"--{name}", *paths_of(input, name))]
        if kind.one_pass:  # where one job leaves the scores that it made for others, and who they are
            waiting = Path(output[0]).parents[2] / "resume/scores" / wildcards.method
            words += ["--waiting", str(waiting), "--targets", *PLAN.targets]
        return shlex.join(words)

    return options


def paths_of(input, name):
    """The paths of a named input: one, several or none."""
    found = input.get(name)
    return [str(found)] if isinstance(found, str) else [str(path) for path in found]


def rows_of(kind, wildcards):
    """What a method's kernel is made from, where it is of that kind: train features, or Fisher rows."""
    if PLAN.kind(wildcards.method).kernel != kind:
        return []
    return f"<results>/{kind}/{PLAN.basis(wildcards.method)}/{wildcards.checkpoint}.zarr"


def mapped_by(wildcards):
    """What the gradients of a checkpoint are mapped by in a basis: a path, or none."""
    return maps_of(wildcards.basis, [wildcards.checkpoint])


def mapped_together(stage):
    """The input function of the same for the bases that share a pass, one basis after the other."""
    return lambda wildcards: [path for basis in TOGETHER[stage] for path in maps_of(basis, [wildcards.checkpoint])]


def maps_of(basis, checkpoints):
    """The same for several checkpoints."""
    place = PLACES.get(BASES[basis].map)
    return [f"<results>/{place.format(checkpoint=name)}" for name in checkpoints] if place else []


def generating_model(wildcards):
    """The model that made a target."""
    return f"<results>/checkpoints/{PLAN.targets[wildcards.target]['checkpoint']}"


def scores_removed_by(wildcards):
    """The scores that say which images a method removes; random removals follow from the seed."""
    if wildcards.method in ("random", "none"):
        return []
    return f"<results>/scores/{wildcards.method}/{wildcards.target}.zarr"


def full_models(wildcards):
    """The models of the full set that a target is compared with."""
    return expand("<results>/checkpoints/{name}", name=other_models(PLAN, wildcards.target))


def models_without(section):
    """The models retrained without a method's top images; for `none` those of the full set."""

    def folders(wildcards):
        if wildcards.method == "none":
            return full_models(wildcards)
        names = without_models(PLAN, section, wildcards.target, wildcards.method)
        return expand("<results>/checkpoints/{name}", name=names)

    return folders


def refuse_missing_weights(dag):
    """End the run before its first job where a planned one would miss Inception's weights."""
    if any(job.rule.name in ("counterfactual_original", "counterfactual_without") for job in dag.needrun_jobs()):
        try:
            require_fid_weights(PLAN)
        except WaypointError as error:
            sys.exit(f"Waypoint: {error}")


def said_of_images():
    """(target, what there is to say about it) of every given image."""
    table = Path(PLAN.root, "tables/given_images.csv")
    if not PLAN.given or not table.exists():
        return []
    with open(table, newline="", encoding="utf-8") as handle:
        return [(row["target"], row["words"]) for row in csv.DictReader(handle) if row["what"] == "summary"]


def ending(later):
    """The first closing line: "Done" only where all that was asked for is there.

    Args:
        later: what has to be made again, or an empty string.
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
    """Where the results are and how to open them."""
    first, method = next(iter(PLAN.targets)), next(iter(PLAN.config["methods"]), "none")
    # `make run` leaves the user's shell without the environment: then name its Python by its path
    activated = sys.prefix in (os.environ.get("VIRTUAL_ENV"), os.environ.get("CONDA_PREFIX"))
    python = "python" if activated else os.path.relpath(sys.executable)
    config = "".join(f" --configfile {os.path.relpath(file)}" for file in workflow.overwrite_configfiles or [])
    table, scores = f"{PLAN.root}/tables/top_influences.csv", f"{PLAN.root}/scores/{method}/{first}.zarr"
    rows = f"(t.method == '{method}') & (t.target == '{first}') & (t.sign == '+')"
    top = f"t[{rows}][['step', 'rank', 'file', 'score', 'found']]"
    ways = [
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
    trust = trust_in_words(PLAN.root, method)
    told = [f"  {method}: {trust}", ""] if trust else []
    if GROUP_TABLES and (groups := groups_in_words(PLAN.root, method)):
        told.insert(1, f"  groups by {method}: {groups}")
    if PLAN.attributed and (noise := noise_in_words(PLAN.root, PLAN.checkpoints)):
        told.insert(0, f"  Waypoint: warning: {noise}")
    if PLAN.base and (idle := idle_in_words(PLAN.root)):
        told.insert(0, f"  Waypoint: warning: {idle}")
    return "\n".join(["", ending(later), "", *lines, "", *told])
