"""`python -m experiments.NAME` runs gpz_jax.commands.NAME, as `gpz-NAME` does.

The settings of the paper's runs (`flagfiles`) and its published numbers (`paper`) lie
beside this file. Nothing of gpz_jax imports this package, because a user may have a
folder of the same name.
"""

from gpz_jax import commands

__path__ += commands.__path__  # the modules of gpz_jax.commands are found here too
