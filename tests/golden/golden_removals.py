"""Golden outputs of the stages of counterfactuals and forgetting."""

STAGES = {}
