"""FaceScrub: a TFDS builder from a folder of images fetched by hand."""

from gpz_jax.data.builders.facescrub.facescrub_dataset_builder import Builder

__all__ = ['Builder']
