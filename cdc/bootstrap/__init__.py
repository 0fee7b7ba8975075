"""The composition root: real parts from the configuration, put into use cases. The only importer of them all."""
