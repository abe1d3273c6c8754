"""A page for the browser that shows the store's results, and a single file about one target (make explore).

Reads   scores/*/*.zarr, targets/*/trajectory.zarr, targets/*/samples.zarr, data/train.zarr, data/near_duplicates.zarr,
        tables/top_influences.csv, tables/lds_summary.csv, tables/group_influences.csv
Makes   explorer/, figures/{target}/explorer.html
"""

EXPLORERS = []

if PLAN.attributed:
    # a whole run makes no pages, but keeps existing ones up to date; files about single targets are in the report
    PAGES = [f"{PLAN.root}/explorer", *(f"{PLAN.root}/figures/{target}/explorer.html" for target in PLAN.targets)]
    EXPLORERS = [page.replace(PLAN.root, "<results>", 1) for page in PAGES if not REMOTE and Path(page).exists()]

    # empty if the configuration has no section for it
    LDS_SUMMARY = [path for path in made("tables", "lds") if Path(path).stem == "lds_summary"]

    rule explorer:
        input:
            data="<results>/data/train.zarr",
            near="<results>/data/near_duplicates.zarr",
            trajectories=expand("<results>/targets/{target}/trajectory.zarr", target=PLAN.targets),
            samples=expand("<results>/targets/{target}/samples.zarr", target=PLAN.targets),
            scores=expand("<results>/scores/{method}/{target}.zarr", method=PLAN.config["methods"], target=PLAN.targets),
            top="<results>/tables/top_influences.csv",
            lds=LDS_SUMMARY,
            groups=GROUP_TABLES,
            lists=outside(list(PLAN.group_lists.values())),
            pngs=outside([file for name in PLAN.targets if (file := PLAN.mask_file(name))]),
            compared=expand("<results>/targets/{target}/compared.zarr", target=PLAN.given),
            attributes=beside("<results>/tables/top_influences.csv", *LDS_SUMMARY, *GROUP_TABLES),
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
            trajectories="<results>/targets/{target}/trajectory.zarr",
            samples="<results>/targets/{target}/samples.zarr",
            scores=lambda w: expand(
                "<results>/scores/{method}/{target}.zarr", method=PLAN.config["methods"], target=w.target
            ),
            top="<results>/tables/top_influences.csv",
            lds=LDS_SUMMARY,
            groups=GROUP_TABLES,
            lists=outside(list(PLAN.group_lists.values())),
            pngs=lambda w: outside([file for file in [PLAN.mask_file(w.target)] if file]),
            compared=lambda w: [
                f"<results>/targets/{of['target']}/compared.zarr" for _, of in PLAN.compared_image(w.target)
            ],
            attributes=beside("<results>/tables/top_influences.csv", *LDS_SUMMARY, *GROUP_TABLES),
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
