"""The suites of `gpz-bench`, and the PyTorch they compare with."""
