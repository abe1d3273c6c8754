"""Golden outputs of the stages of classifiers, samples and what is read from them."""

STAGES = {}
