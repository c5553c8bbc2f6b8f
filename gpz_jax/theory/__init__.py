"""The quantities of the paper's argument, measured on activations."""
