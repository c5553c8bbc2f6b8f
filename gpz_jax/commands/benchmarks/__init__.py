"""The suites of `python -m experiments.bench`, and the PyTorch they compare with."""
