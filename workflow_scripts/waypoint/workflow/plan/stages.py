"""The version of every stage.

Code triggers no rerun. Whoever changes what a stage computes raises its number here; the stage and what
follows from it then rerun, and arrays of another version are refused. A golden test per stage fails when
its output changes while its number does not.
"""

VERSIONS = {
    "data": 1,
    "encoder": 1,
    "vae": 1,
    "encoding": 1,
    "train": 1,
    "features": 2,
    "kernel": 1,
    "trajectory": 1,
    "gradients": 2,
    "scores": 1,
    "embeddings": 1,
    "encoder_scores": 1,
    "masks": 1,
    "outputs": 1,
    "lds": 1,
    "classifier": 1,
    "samples": 1,
    "proxy": 1,
    "likelihood": 1,
    "seed_consistency": 1,
    "counterfactual": 1,
    "forgetting": 1,
    "removal_tables": 1,
    "step_correlation": 1,
    "sign_overlap": 1,
    "top_overlap": 1,
    "reliability": 1,
    "figures": 3,
    "tables": 1,
}
