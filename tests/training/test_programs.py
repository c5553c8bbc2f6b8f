"""How much memory there is."""

import pytest

from gpz_jax.training import programs

NONE = 9223372036854771712  # what version 1 writes where there is no limit


@pytest.mark.parametrize(
  ('groups', 'files', 'expected'),
  [
    ('0::/', {}, None),
    ('0::/', {'memory.max': 'max\n'}, None),
    ('0::/', {'memory.max': '4096\n'}, 4096),
    ('0::/job/step', {'job/step/memory.max': 'max', 'job/memory.max': '8192'}, 8192),
    ('0::/job/step', {'job/step/memory.max': '4096', 'job/memory.max': '8192'}, 4096),
    # by its path on the node, of which the container sees its own group alone
    ('0::/../pod/it', {'memory.max': '4096'}, 4096),
    (
      '9:cpu:/other\n4:cpuacct,memory:/slurm/job\n0::/',
      {
        'memory/slurm/job/memory.limit_in_bytes': '8192',
        'memory/slurm/memory.limit_in_bytes': str(NONE),
        'memory/other/memory.limit_in_bytes': '1',
      },
      8192,
    ),
    ('4:memory:/it', {'memory/memory.limit_in_bytes': str(NONE)}, None),
  ],
)
def test_a_limit_of_the_container_counts(groups, files, expected, tmp_path):
  texts = {'proc/self/cgroup': groups} | {
    f'sys/fs/cgroup/{name}': text for name, text in files.items()
  }
  for name, text in texts.items():
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
  physical = programs.host_bytes(tmp_path / 'absent')
  assert physical > 2**20
  assert programs.host_bytes(tmp_path) == (expected or physical)
