"""The evaluations of the paper as pure functions, and what they share."""
