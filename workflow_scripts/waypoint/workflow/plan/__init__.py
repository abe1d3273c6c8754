"""The paths and specs of all artifacts, the versions of all stages, and checks against both."""
