"""Pictures for people.

Reads   scores/{method}/{target}.zarr, targets/{target}/*.zarr, data/train.zarr
Makes   figures/{target}/{method}.png
"""


rule trajectory_panel:
    input:
        current("panel", "figures/{target}/{method}.png"),
        data="<results>/data/train.zarr",
        trajectory="<results>/targets/{target}/trajectory.zarr",
        # another checkpoint makes the same continuations again: no reason to redraw
        continuations=ancient("<results>/targets/{target}/continuations.zarr"),
        scores="<results>/scores/{method}/{target}.zarr",
    output:
        report(
            "<results>/figures/{target}/{method}.png",
            caption="../docs/report/panel.rst",
            category="Trajectory panels",
            labels={"target": "{target}", "method": "{method}"},
        ),
    log:
        "<logs>/trajectory_panel/{target}-{method}.log",
    conda:
        "../envs/waypoint.yaml"
    params:
        spec=spec("panel"),
    shell:
        'python "$WAYPOINT_SCRIPTS"/plot_panel.py --spec {params.spec:q} --data {input.data:q}'
        " --trajectory {input.trajectory:q} --continuations {input.continuations:q} --scores {input.scores:q}"
        " --target {wildcards.target} --out {output:q} --log {log:q}"
