"""Targets' trajectories and gradients (Algorithm 1, lines 10-13).

Reads   checkpoints/*/, or a user's own trajectory; for given images their files, checkpoints/*/, data/train.zarr
Makes   targets/{target}/trajectory.zarr, targets/{target}/gradients/{basis}.zarr

An image with several named masks is sampled once, to targets/{its own id}/trajectory.zarr; each mask is a target whose
trajectory.zarr holds the same arrays.
"""


rule sample_trajectory:
    input:
        base=BASE,
        checkpoint=lambda w: f"<results>/checkpoints/{PLAN.sampled[w.target]['checkpoint']}",
        trajectory=lambda w: outside(PLAN.sampled[w.target].get("trajectory")),
        vae=VAE,
        text=TEXT_ENCODER,
    output:
        directory("<results>/targets/{target}/trajectory.zarr"),
    log:
        "<logs>/sample_trajectory/{target}.log",
    conda:
        "../envs/waypoint.yaml"
    resources:
        **submitted_as("sample_trajectory"),
    params:
        spec=spec("sample_trajectory"),
    shell:
        call("targets/sample_trajectory", "checkpoint trajectory vae text")


if PLAN.given:

    ruleorder: invert_image > sample_trajectory

    rule invert_image:
        input:
            base=BASE,
            checkpoint=lambda w: f"<results>/checkpoints/{PLAN.sampled[w.target]['checkpoint']}",
            image=lambda w: outside(PLAN.sampled[w.target]["image"]),
            data="<results>/data/train.zarr",
            vae=VAE,
            text=TEXT_ENCODER,
        output:
            directory("<results>/targets/{target}/trajectory.zarr"),
        log:
            "<logs>/invert_image/{target}.log",
        wildcard_constraints:
            target="|".join(PLAN.given),
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("invert_image"),
        params:
            spec=spec("invert_image"),
        shell:
            call("targets/invert_image", "checkpoint image data vae text")


if PLAN.shared:

    ruleorder: share_trajectory > sample_trajectory

    rule share_trajectory:
        input:
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
            spec=lambda w: PLAN.asked(PLAN.trajectory(w.target)[0], target=w.target),
        shell:
            call("targets/share_trajectory", "trajectory")


# Bases with the same output function share a pass, as for features (features.smk)
if PLAN.attributed and ALONE["target_gradients"]:

    rule target_gradients:
        input:
            trajectory="<results>/targets/{target}/trajectory.zarr",
            base=BASE,
            checkpoints=expand("<results>/checkpoints/{checkpoint}", checkpoint=PLAN.checkpoints),
            curvature=lambda w: maps_of(w.basis, PLAN.checkpoints),
            generator=lambda w: f"<results>/checkpoints/{PLAN.targets[w.target]['checkpoint']}",
            mask=lambda w: outside(PLAN.mask_file(w.target)),
        output:
            directory("<results>/targets/{target}/gradients/{basis}.zarr"),
        log:
            "<logs>/target_gradients/{basis}/{target}.log",
        wildcard_constraints:
            basis="|".join(ALONE["target_gradients"]),
        # before any scores, so that one pass over the features scores all targets
        priority: 1
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("target_gradients"),
        params:
            spec=spec("target_gradients"),
        shell:
            call("targets/target_gradients", "trajectory checkpoints curvature generator mask")


if PLAN.attributed and TOGETHER["target_gradients"]:

    rule target_gradients_together:
        input:
            trajectory="<results>/targets/{target}/trajectory.zarr",
            checkpoints=expand("<results>/checkpoints/{checkpoint}", checkpoint=PLAN.checkpoints),
            curvature=[path for basis in TOGETHER["target_gradients"] for path in maps_of(basis, PLAN.checkpoints)],
            generator=lambda w: f"<results>/checkpoints/{PLAN.targets[w.target]['checkpoint']}",
            mask=lambda w: outside(PLAN.mask_file(w.target)),
        output:
            directory(expand("<results>/targets/{{target}}/gradients/{basis}.zarr", basis=TOGETHER["target_gradients"])),
        log:
            "<logs>/target_gradients/{target}.log",
        # as for target_gradients
        priority: 1
        conda:
            "../envs/waypoint.yaml"
        resources:
            **submitted_as("target_gradients"),
        params:
            spec=specs("target_gradients"),
        shell:
            call("targets/target_gradients", "trajectory checkpoints curvature generator mask")
