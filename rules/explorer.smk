"""A page in the browser that shows what the store says, and the same about one target in a single file (make explore).

Reads   scores/*/*.zarr, targets/*/trajectory.zarr, targets/*/samples.zarr, data/train.zarr, data/near_duplicates.zarr,
        tables/top_influences.csv, tables/lds_summary.csv, tables/group_influences.csv
Makes   explorer/, figures/{target}/explorer.html
"""

EXPLORERS = []

if PLAN.attributed:
    # nobody has to look at pages, so that a whole run makes none; but those that are there are kept up to date, and
    # files of single targets stand in the report
    PAGES = [f"{PLAN.root}/explorer", *(f"{PLAN.root}/figures/{target}/explorer.html" for target in PLAN.targets)]
    EXPLORERS = [page.replace(PLAN.root, "<results>", 1) for page in PAGES if not REMOTE and Path(page).exists()]

    rule explorer:
        input:
            data="<results>/data/train.zarr",
            near="<results>/data/near_duplicates.zarr",
            trajectories=explored("<results>/targets/{target}/trajectory.zarr"),
            samples=explored("<results>/targets/{target}/samples.zarr"),
            scores=explored("<results>/scores/{method}/{target}.zarr"),
            top="<results>/tables/top_influences.csv",
            lds=LDS_READ,
            groups=GROUPS_READ,
            compared=explored_images,
            lists=outside(list(PLAN.group_lists.values())),
            pngs=explored_masks,
            attributes=beside("<results>/tables/top_influences.csv", *LDS_READ, *GROUPS_READ),
        output:
            directory("<results>/explorer"),
        log:
            "<logs>/explorer.log",
        group:
            in_group("explorer")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("explorer"),
        params:
            spec=spec("explorer"),
            experiment=PLAN.config["experiment"],
        shell:
            call(
                "explorer/explorer",
                "data near trajectories samples scores top lds groups lists pngs compared",
                "--experiment {params.experiment:q}",
            )

    rule packed_explorer:
        input:
            data="<results>/data/train.zarr",
            near="<results>/data/near_duplicates.zarr",
            trajectories=explored("<results>/targets/{target}/trajectory.zarr"),
            samples=explored("<results>/targets/{target}/samples.zarr"),
            scores=explored("<results>/scores/{method}/{target}.zarr"),
            top="<results>/tables/top_influences.csv",
            lds=LDS_READ,
            groups=GROUPS_READ,
            compared=explored_images,
            lists=outside(list(PLAN.group_lists.values())),
            pngs=explored_masks,
            attributes=beside("<results>/tables/top_influences.csv", *LDS_READ, *GROUPS_READ),
        output:
            page=report(
                "<results>/figures/{target}/explorer.html",
                caption="../docs/report/explorer.rst",
                category="Explorer",
                labels={"target": "{target}"},
            ),
            attributes=beside("<results>/figures/{target}/explorer.html"),
        log:
            "<logs>/packed_explorer/{target}.log",
        group:
            in_group("packed_explorer")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("packed_explorer"),
        params:
            spec=spec("packed_explorer"),
            experiment=PLAN.config["experiment"],
        shell:
            call(
                "explorer/packed_explorer",
                "data near trajectories samples scores top lds groups lists pngs compared",
                "--experiment {params.experiment:q} --target {wildcards.target}",
                out="page",
            )
