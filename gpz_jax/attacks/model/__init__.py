"""Attacks on a model: searches for what a training class looks like.

specs.parse            the attack that a text names
Attack                 what an attack is, for one of the user's own
chunks.run             runs a search for every class of every target
FileStore              a folder that keeps what is finished
"""

from gpz_jax.attacks.model.protocol import Attack, Outcome, Scenario
from gpz_jax.attacks.model.specs import parse
from gpz_jax.attacks.model.store import FileStore

__all__ = ['Attack', 'FileStore', 'Outcome', 'Scenario', 'parse']
