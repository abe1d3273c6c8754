"""The paper as functions of tensors and arrays, free of paths, configuration files and Snakemake."""
