"""Targets' trajectories.

Reads   checkpoints/*/, or a trajectory that the user brings
Makes   targets/{target}/trajectory.zarr

An image with several named masks is sampled once, to targets/{its own id}/trajectory.zarr; each mask is a target whose
trajectory.zarr holds the same arrays.
"""


rule sample_trajectory:
    input:
        current("trajectory", "targets/{target}/trajectory.zarr"),
        checkpoint=lambda w: f"<results>/checkpoints/{PLAN.sampled[w.target]['checkpoint']}",
        own=lambda w: outside(PLAN.sampled[w.target].get("trajectory")),
        vae=VAE,
        text=TEXT_ENCODER,
    output:
        directory("<results>/targets/{target}/trajectory.zarr"),
    log:
        "<logs>/sample_trajectory/{target}.log",
    conda:
        "../envs/waypoint.yaml"
    resources:
        gpu=1,
    params:
        spec=spec("trajectory"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/sample_trajectory.py --spec {params.spec:q} --checkpoint {input.checkpoint:q}'
        " --trajectory {input.own:q} --vae {input.vae:q} --text {input.text:q} --out {output:q} --log {log:q}"


if PLAN.shared:

    ruleorder: share_trajectory > sample_trajectory

    rule share_trajectory:
        input:
            current("trajectory", "targets/{target}/trajectory.zarr"),
            trajectory=lambda w: f"<results>/targets/{PLAN.shared[w.target]}/trajectory.zarr",
        output:
            directory("<results>/targets/{target}/trajectory.zarr"),
        log:
            "<logs>/share_trajectory/{target}.log",
        wildcard_constraints:
            target="|".join(PLAN.shared),
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("trajectory"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/share_trajectory.py --spec {params.spec:q} --trajectory {input.trajectory:q}'
            " --out {output:q} --log {log:q}"
