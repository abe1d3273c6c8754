"""The encoders of a latent model.

Reads   data/images.zarr
Makes   encoders/vae/, a diffusers AutoencoderKL folder
"""

if PLAN.config["vae"] and "train" in PLAN.config["vae"]:

    rule train_vae:
        input:
            current("vae", "encoders/vae"),
            images="<results>/data/images.zarr",
        output:
            directory("<results>/encoders/vae"),
        log:
            "<logs>/train_vae.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            gpu=1,
        params:
            spec=spec("vae"),
            resume=lambda wildcards, output: str(Path(output[0]).parents[1] / "resume"),
        shell:
            'python "$WAYPOINT_SCRIPTS"/train_vae.py --spec {params.spec:q} --images {input.images:q}'
            " --resume {params.resume:q} --out {output:q} --log {log:q}"
