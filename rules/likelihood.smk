"""Classifiers of the labelled images, and feature likelihood along the trajectory: the share of samples that are of a
class (Fig. 3, B.10), or nearer to the first of two captions (B.6).

Reads   data/train.zarr, data/near_duplicates.zarr, targets/{target}/samples.zarr, scores/
Makes   evaluation/classifiers/{kind}/, tables/feature_likelihood.csv, steepest_intervals.csv,
        figures/likelihood-{target}.png
"""

CLASSIFIED_FID = PLAN.evaluation["counterfactual"] and PLAN.evaluation["fid"]["features"] == "classifier"

if PLAN.evaluation["likelihood"] is not None or CLASSIFIED_FID:

    rule train_classifier:
        input:
            data="<results>/data/train.zarr",
        output:
            directory("<results>/evaluation/classifiers/{kind}"),
        log:
            "<logs>/train_classifier/{kind}.log",
        wildcard_constraints:
            kind="|".join(KINDS),
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("train_classifier"),
        params:
            spec=spec("train_classifier"),
        shell:
            call("likelihood/train_classifier", "data", "--kind {wildcards.kind}")


if PLAN.evaluation["likelihood"] is not None or PLAN.evaluation["caption_likelihood"] is not None:
    JUDGED = judged(PLAN)
    CLASSIFIERS = KINDS if PLAN.evaluation["likelihood"] is not None else []

    rule feature_likelihood:
        input:
            classifiers=expand("<results>/evaluation/classifiers/{kind}", kind=CLASSIFIERS),
            samples=expand("<results>/targets/{target}/samples.zarr", target=JUDGED),
            trajectories=expand("<results>/targets/{target}/trajectory.zarr", target=JUDGED),
        output:
            likelihood=report(
                "<results>/tables/feature_likelihood.csv",
                caption="../docs/report/likelihood.rst",
                category="Feature likelihood",
                labels={"table": "feature likelihood"},
            ),
            intervals=report(
                "<results>/tables/steepest_intervals.csv",
                caption="../docs/report/likelihood.rst",
                category="Feature likelihood",
                labels={"table": "steepest intervals"},
            ),
            attributes=beside("<results>/tables/feature_likelihood.csv", "<results>/tables/steepest_intervals.csv"),
        log:
            "<logs>/feature_likelihood.log",
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("feature_likelihood"),
        params:
            spec=spec("feature_likelihood"),
        shell:
            call(
                "likelihood/feature_likelihood",
                "classifiers samples trajectories",
                '--places "$WAYPOINT_ENCODERS"',
                outputs="likelihood intervals",
            )

    rule plot_likelihood:
        input:
            likelihood="<results>/tables/feature_likelihood.csv",
            intervals="<results>/tables/steepest_intervals.csv",
            samples="<results>/targets/{target}/samples.zarr",
            # for the training images below the curves: trak's scores, else the first method's; none without data
            scores=expand("<results>/scores/{method}/{{target}}.zarr", method=methods_below(PLAN)),
            data=DATA[-1:],
            near="<results>/data/near_duplicates.zarr" if methods_below(PLAN) else [],
            attributes=beside("<results>/tables/feature_likelihood.csv", "<results>/tables/steepest_intervals.csv"),
        output:
            figure=report(
                "<results>/figures/likelihood-{target}.png",
                caption="../docs/report/likelihood.rst",
                category="Feature likelihood",
                labels={"figure": "{target}"},
            ),
            attributes=beside("<results>/figures/likelihood-{target}.png"),
        log:
            "<logs>/plot_likelihood/{target}.log",
        group:
            in_group("plot_likelihood")
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("plot_likelihood"),
        params:
            spec=spec("plot_likelihood"),
        shell:
            call(
                "likelihood/plot_likelihood",
                "likelihood intervals samples scores data near",
                "--target {wildcards.target}",
                out="figure",
            )
