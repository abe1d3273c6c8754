"""The science floor: knows no paths, no configuration file and no Snakemake."""
