"""Golden outputs of the stages of analyses of scores."""

STAGES = {}
