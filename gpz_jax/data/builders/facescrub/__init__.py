"""FaceScrub: a TFDS builder from a folder of images fetched by hand."""

from gpz_jax.data.builders.facescrub.facescrub_dataset_builder import CONFIGS, Builder

__all__ = ['CONFIGS', 'Builder']
