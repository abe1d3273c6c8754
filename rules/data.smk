"""The training images, and the encoded images and captions that latent and text-conditional models see.

Reads   the raw data that data.path names, vae.path, text_encoder.path
Makes   data/train.zarr, or data/images.zarr if models see encoded images; encoders/vae/, encoders/text/;
        data/near_duplicates.zarr, by which lists name only one of several near-duplicates
"""

if PLAN.attributed:

    rule prepare_data:
        # the raw data is no input: it may be gone once it is in the store. Its recorded hash reveals changes
        output:
            directory(f"<results>/{IMAGES}"),
        log:
            "<logs>/prepare_data.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("prepare_data"),
        shell:
            call("data/prepare_data", "", '--places "$WAYPOINT_DATA"')


if PLAN.config["vae"] and "path" in PLAN.config["vae"]:

    rule import_vae:
        output:
            directory("<results>/encoders/vae"),
        log:
            "<logs>/import_vae.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("import_vae"),
        shell:
            call("data/import_encoder")


if PLAN.config["vae"] and "train" in PLAN.config["vae"]:

    rule train_vae:
        input:
            images="<results>/data/images.zarr",
        output:
            directory("<results>/encoders/vae"),
        log:
            "<logs>/train_vae.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("train_vae"),
        params:
            spec=spec("train_vae"),
            resume=lambda wildcards, output: str(Path(output[0]).parents[1] / "resume"),
        shell:
            call("data/train_vae", "images", "--resume {params.resume:q}")


if PLAN.config["text_encoder"]:

    rule import_text_encoder:
        output:
            directory("<results>/encoders/text"),
        log:
            "<logs>/import_text_encoder.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("import_text_encoder"),
        shell:
            call("data/import_encoder")


if PLAN.encoded:

    rule encode_data:
        input:
            images="<results>/data/images.zarr",
            vae=VAE,
            text=TEXT_ENCODER,
        output:
            directory("<results>/data/train.zarr"),
        log:
            "<logs>/encode_data.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("encode_data"),
        params:
            spec=spec("encode_data"),
        shell:
            call("data/encode_data", "images vae text")


if PLAN.attributed:

    rule near_duplicates:
        input:
            data="<results>/data/train.zarr",
        output:
            directory("<results>/data/near_duplicates.zarr"),
        log:
            "<logs>/near_duplicates.log",
        conda:
            "../envs/waypoint.yaml"
        params:
            spec=spec("near_duplicates"),
        shell:
            call("data/near_duplicates", "data")
