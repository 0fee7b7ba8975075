"""Configuration: the models of the YAML file, its loader and the generated reference."""
