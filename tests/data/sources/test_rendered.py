import numpy as np

from gpz_jax import data
from gpz_jax.data import sources
from gpz_jax.data.builders.shapes import shapes_dataset_builder


def test_rendered_equals_prepared(shapes_dir, tmp_path, monkeypatch):
  counts = {'train': 60, 'test': 20}  # as in shapes_dir
  monkeypatch.setattr(shapes_dataset_builder, 'NUM_EXAMPLES', counts)
  prepared = data.load('shapes/4_default', data_dir=shapes_dir, cache_dir=tmp_path)
  rendered = data.load(
    'shapes/4_default', data_dir=tmp_path / 'nothing', cache_dir=tmp_path
  )
  assert rendered.class_names == prepared.class_names
  for part in ('train', 'val', 'test', 'aux'):
    one, other = getattr(prepared, part), getattr(rendered, part)
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.label, other.label)


def test_nothing_is_written_before_it_is_read(tmp_path):
  source = sources.find('shapes', tmp_path)
  assert source.name == 'shapes/10_default'
  assert source.counts == {'train': 12_000, 'test': 2_000}
  assert not list(tmp_path.iterdir())
