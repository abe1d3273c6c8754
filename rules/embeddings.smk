"""Image encoders as attribution methods (§5.1: CLIP): every training image is embedded once.

Reads   data/train.zarr, targets/{target}/trajectory.zarr
Makes   embeddings/{encoder}.zarr, scores/{encoder}/{target}.zarr
"""

if PLAN.encoders:

    rule embed_images:
        input:
            current("embeddings", "embeddings/{encoder}.zarr"),
            data="<results>/data/train.zarr",
        output:
            directory("<results>/embeddings/{encoder}.zarr"),
        log:
            "<logs>/embed_images/{encoder}.log",
        wildcard_constraints:
            encoder="|".join(PLAN.encoders),
        conda:
            "../envs/waypoint.yaml"
        resources:
            gpu=1,
        params:
            spec=spec("embeddings"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/embed_images.py --spec {params.spec:q} --data {input.data:q}'
            ' --encoder {wildcards.encoder} --places "$WAYPOINT_ENCODERS" --out {output:q} --log {log:q}'

    rule score_encoder:
        input:
            current("encoder_scores", "scores/{encoder}/{target}.zarr"),
            embeddings="<results>/embeddings/{encoder}.zarr",
            trajectory="<results>/targets/{target}/trajectory.zarr",
        output:
            directory("<results>/scores/{encoder}/{target}.zarr"),
        log:
            "<logs>/score_encoder/{encoder}-{target}.log",
        wildcard_constraints:
            encoder="|".join(PLAN.encoders),
        conda:
            "../envs/waypoint.yaml"
        resources:
            gpu=1,
        params:
            spec=spec("encoder_scores"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/score_encoder.py --spec {params.spec:q} --embeddings {input.embeddings:q}'
            " --trajectory {input.trajectory:q} --encoder {wildcards.encoder} --target {wildcards.target}"
            ' --places "$WAYPOINT_ENCODERS" --out {output:q} --log {log:q}'
