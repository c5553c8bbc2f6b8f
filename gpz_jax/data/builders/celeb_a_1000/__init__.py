"""The 1,000 people of CelebA with most images: a TFDS builder from published files."""

from gpz_jax.data.builders.celeb_a_1000.celeb_a_1000_dataset_builder import Builder

__all__ = ['Builder']
