"""Finds the golden zone of a model without training any decoder.

  gpz-probe --preset=quickstart

It takes minutes if the targets are there, and trains them first if not. Its flags are
those of gpz-sweep. The radius and the entropy of activations vote on where the zone
begins. If --workdir already holds rows of attacks, the command also prints how often
these votes named the attack's split. The exit status is that of gpz-sweep.
"""

from gpz_jax.commands import command, layout, sweep

# Said after every probe, because a probe is no attack (docs/theory.md).
CAUTION = (
  'A probe proves nothing about an attack. docs/theory.md says how often it named the'
  " attack's split in our own sweeps."
)


def main(argv: list[str]) -> int:
  """Prints the votes of the probes."""
  from gpz_jax import results, zone
  from gpz_jax.sweep import probe

  del argv
  config = sweep.config_from_flags()
  found = probe.probe(config)
  if found.rows:
    print(f'\n{zone.format_votes(found.votes)}\n')
  for cast in found.votes.treatments:
    print(cast.sentence())
  for lane, reason in found.left_out.items():
    print(f'The target {lane} has no vote, because {reason}.')
  rows, _ = results.read_workdir(config.workdir, missing_ok=True)
  if rows and found.rows:
    record = zone.agreement(rows, found.rows)
    print('\n'.join(each.sentence() for each in record if each.is_measured))
  print(CAUTION)
  return 3 if probe.DIVERGED in found.left_out.values() else 0


def start() -> None:
  """What gpz-probe runs."""
  command.run('probe', main, sweep.define_flags, layout.LAYOUT)


if __name__ == '__main__':
  start()
