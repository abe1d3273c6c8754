"""Targets' gradients (Algorithm 1, lines 10-13), and samples of p(·|x_t) at the same steps.

Reads   checkpoints/*/, targets/{target}/trajectory.zarr
Makes   targets/{target}/gradients.zarr, continuations.zarr

Continuations, the panels' samples of p(·|x_t), need only the generating model. They are made with the gradients,
at the same steps, because a job of their own would spend most of its time on imports.
"""


rule target_gradients:
    input:
        current("gradients", "targets/{target}/gradients.zarr"),
        current("gradients", "targets/{target}/continuations.zarr"),
        trajectory="<results>/targets/{target}/trajectory.zarr",
        checkpoints=expand("<results>/checkpoints/{checkpoint}", checkpoint=PLAN.checkpoints),
        generator=lambda w: f"<results>/checkpoints/{PLAN.targets[w.target]['checkpoint']}",
        mask=lambda w: outside(PLAN.mask_file(w.target)),
        vae=VAE,
    output:
        gradients=directory("<results>/targets/{target}/gradients.zarr"),
        continuations=directory("<results>/targets/{target}/continuations.zarr"),
    log:
        "<logs>/target_gradients/{target}.log",
    # before any scores: those of all targets are then made in one pass over the features
    priority: 1
    conda:
        "../envs/waypoint.yaml"
    resources:
        gpu=1,
    params:
        spec=spec("gradients"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/target_gradients.py --spec {params.spec:q} --trajectory {input.trajectory:q}'
        " --checkpoints {input.checkpoints:q} --generator {input.generator:q} --mask {input.mask:q}"
        " --vae {input.vae:q} --out {output.gradients:q} --continuations {output.continuations:q} --log {log:q}"
