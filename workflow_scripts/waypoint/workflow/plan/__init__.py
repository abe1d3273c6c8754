"""Paths and specs of every artifact, the version of every stage, and checks against both."""
