"""What `python -m experiments.bench` measures, and the PyTorch it compares with."""
