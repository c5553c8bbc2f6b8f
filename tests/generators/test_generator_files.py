"""A generator comes back from its file as it was, and from no other file."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from gpz_jax import checkpoints
from gpz_jax.generators import DCGAN, Critic, Generator, files
from gpz_jax.types import InputError

SMALL = DCGAN(size=8, width=2, channels=1, latent=3)


@pytest.fixture
def kept(tmp_path):
  path = tmp_path / 'prior.safetensors'
  files.save(path, SMALL, SMALL.init(jax.random.key(0)))
  return path


def rewrite(path, arrays=None, **metadata):
  """Writes the file anew with some things changed."""
  with safetensors.safe_open(path, 'numpy') as file:
    old = file.metadata()
    found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
  safetensors.numpy.save_file(
    found if arrays is None else arrays(found), path, old | metadata
  )


def test_it_comes_back_as_it_was(kept):
  generator, variables = files.load(kept)
  assert generator == SMALL
  chex.assert_trees_all_equal(variables, SMALL.init(jax.random.key(0)))


def test_its_bits_are_the_same_and_it_says_what_it_was_trained_on(kept):
  variables = SMALL.init(jax.random.key(0))
  assert files.read_trained_on(kept) == ''
  assert files.read_trained_on(kept.with_name('absent')) == ''
  files.save(kept, SMALL, variables, make_critic(), trained_on='12ab')
  assert files.read_trained_on(kept) == '12ab'
  found = files.load(kept)[1], files.load_critic(kept)[1]
  assert checkpoints.digest(found) == checkpoints.digest((variables, make_critic()[1]))


JUDGE = Critic(size=8, width=2)


def make_critic(seed=1):
  variables = JUDGE.init(jax.random.key(seed), jnp.zeros((1, 8, 8, 1)))
  return JUDGE, variables | {'statistics': {'spread': jnp.float32(0.3)}}


def test_a_critic_comes_back_beside_its_generator(kept):
  assert files.load_critic(kept) is None
  variables = SMALL.init(jax.random.key(0))
  files.save(kept, SMALL, variables, make_critic())
  chex.assert_trees_all_equal(files.load(kept)[1], variables)
  found = files.load_critic(kept)
  assert found is not None
  assert found[0] == JUDGE
  chex.assert_trees_all_equal(found[1], make_critic()[1])


@pytest.mark.parametrize(
  ('critic', 'message'),
  [
    ('[]', 'its fields must be a JSON object'),
    ('{', 'cannot be read'),
    ('{"depth": 3}', "Critic has no field 'depth'"),
    ('{"width": "2"}', "width of Critic cannot be '2'"),
    ('{"size": 12, "width": 2}', 'does not judge images of 8x8'),
    ('{"size": 8, "width": 0}', 'does not judge images of 8x8'),
    ('{"size": 8, "width": 3}', r'critic/params/.* is float32 .* and should be'),
  ],
)
def test_a_critic_that_does_not_fit_is_named(kept, critic, message):
  files.save(kept, SMALL, SMALL.init(jax.random.key(0)), make_critic())
  rewrite(kept, critic=critic)
  with pytest.raises(InputError, match=message):
    files.load_critic(kept)
  with pytest.raises(InputError, match=message):
    files.load(kept)


def test_a_file_that_is_cut_short_or_absent_is_refused(kept):
  content = kept.read_bytes()
  for size in (0, 4, 100, len(content) - 1):
    kept.write_bytes(content[:size])
    with pytest.raises(InputError, match='cannot be read'):
      files.load(kept)
  with pytest.raises(InputError, match='no such file'):
    files.load(kept.with_name('other'))


def test_a_flipped_bit_in_an_array_is_noticed(kept):
  content = bytearray(kept.read_bytes())
  content[-3] ^= 1
  kept.write_bytes(content)
  with pytest.raises(InputError, match='is damaged: its checksum differs'):
    files.load(kept)


@pytest.mark.parametrize(
  ('metadata', 'message'),
  [
    ({'format': 'pt'}, "its format is 'pt'"),
    ({'kind': 'gan'}, "its kind 'gan' is not known"),
    ({'fields': '[]'}, 'its fields must be a JSON object'),
    ({'fields': '{'}, 'cannot be read'),
    ({'fields': json.dumps({'depth': 3})}, "DCGAN has no field 'depth'"),
    ({'fields': json.dumps({'size': '8'})}, "size of DCGAN cannot be '8'"),
    ({'fields': json.dumps({'width': True})}, 'width of DCGAN cannot be True'),
    ({'fields': json.dumps({'size': 9})}, "size of a DCGAN '9' is not known"),
    (
      {'fields': json.dumps({'size': 8, 'width': 3, 'channels': 1, 'latent': 3})},
      r'is float32 \[.*\] and should be float32 \[.*\] for DCGAN',
    ),
  ],
)
def test_metadata_that_do_not_fit_are_named(kept, metadata, message):
  rewrite(kept, **metadata)
  with pytest.raises(InputError, match=message):
    files.load(kept)


def test_a_file_of_weights_alone_is_refused(kept):
  safetensors.numpy.save_file({'a': np.zeros(2)}, kept)
  with pytest.raises(InputError, match="its format is 'unnamed'"):
    files.load(kept)


def test_arrays_of_other_names_or_types_are_named(kept):
  name = 'params/out/conv/bias'
  content = kept.read_bytes()
  rewrite(kept, lambda a: {k: v for k, v in a.items() if k != name})
  with pytest.raises(InputError, match=rf'{name} is absent and should be float32'):
    files.load(kept)
  kept.write_bytes(content)
  rewrite(kept, lambda a: a | {'more': np.zeros(1, np.float32)})
  with pytest.raises(InputError, match=r'more is float32 \[1\] and should be absent'):
    files.load(kept)
  kept.write_bytes(content)
  rewrite(kept, lambda a: a | {name: a[name].astype(np.float64)})
  with pytest.raises(InputError, match=rf'{name} is float64 \[1\]'):
    files.load(kept)


def test_only_what_can_be_read_back_is_written(tmp_path):
  class Own(Generator):
    image_shape = latent_shape = sample = images = None  # pyright: ignore

  path = tmp_path / 'prior.safetensors'
  with pytest.raises(InputError, match='Own cannot be kept in a file'):
    files.save(path, Own(), {})
  other = DCGAN(size=8, width=3).init(jax.random.key(0))
  with pytest.raises(InputError, match=r'is float32 .* and should be float32'):
    files.save(path, SMALL, other)
  with pytest.raises(InputError, match='there is no folder'):
    files.save(tmp_path / 'none' / 'prior', SMALL, SMALL.init(jax.random.key(0)))
  assert not list(tmp_path.iterdir())
