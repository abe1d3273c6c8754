"""The paper as functions of tensors and arrays: no paths, no configuration file and no Snakemake."""
