"""Messages about models that lack something, shared by planning and jobs."""

NO_NETWORK = (
    "is a state dict, which does not say what its network is; give that in model.unet and its noise schedule in "
    "model.scheduler, or store a pipeline of diffusers"
)
NO_SCHEDULE = (
    "cannot be loaded: it has no noise schedule; there is no scheduler_config.json in it or above it. Copy the folder "
    "scheduler of its training's output into it, or give the section model, whose model.scheduler is then taken"
)
