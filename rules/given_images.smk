"""Given images, compared with the training images.

Reads   targets/{target}/trajectory.zarr, data/train.zarr, checkpoints/full/*/, embeddings/ and scores of image encoders
Makes   targets/{target}/compared.zarr, tables/given_images.csv
"""

GIVEN_TABLES = []

if PLAN.given:
    GIVEN_TABLES.append("<results>/tables/given_images.csv")

    rule compare_image:
        input:
            data="<results>/data/train.zarr",
            trajectory="<results>/targets/{target}/trajectory.zarr",
            base=BASE,
            generator=lambda w: f"<results>/checkpoints/{PLAN.sampled[w.target]['checkpoint']}",
            embeddings=expand("<results>/embeddings/{encoder}.zarr", encoder=PLAN.encoders),
            scores=lambda w: expand(
                "<results>/scores/{encoder}/{target}.zarr", encoder=PLAN.encoders, target=PLAN.masks_of(w.target)[0]
            ),
            vae=VAE,
            text=TEXT_ENCODER,
        output:
            directory("<results>/targets/{target}/compared.zarr"),
        log:
            "<logs>/compare_image/{target}.log",
        wildcard_constraints:
            target="|".join(PLAN.given),
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("compare_image"),
        params:
            spec=spec("compare_image"),
        shell:
            call(
                "given_images/compare_image",
                "data trajectory generator embeddings scores vae text",
                '--places "$WAYPOINT_DATA" --target {wildcards.target}',
            )

    rule given_images:
        input:
            data="<results>/data/train.zarr",
            compared=expand("<results>/targets/{target}/compared.zarr", target=PLAN.given),
        output:
            table=report(
                "<results>/tables/given_images.csv",
                caption="../docs/report/given_images.rst",
                category="Tables",
                labels={"table": "given images"},
            ),
            attributes=beside("<results>/tables/given_images.csv"),
        log:
            "<logs>/given_images.log",
        group:
            in_group("given_images")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("given_images"),
        params:
            spec=spec("given_images"),
        shell:
            call("given_images/given_images", "data compared", out="table")
