"""The theory in a report: beside the attacks, along the training, and embedded.

findings      what the rows of the theory say, gathered
along_splits  the figure over the splits, and what is said of the attack there
along_epochs  the figure over the epochs, and the paper's story put to the test
embeddings    activations in two dimensions, the paper's Figure 3
tables        every main quantity at every split, with what it cannot do
"""

from gpz_jax.report.theory.findings import Theory, read_theory

__all__ = ['Theory', 'read_theory']
