"""A sweep as units that independent processes do, on one machine or on a cluster.

Nothing here must stay alive: a list of units lies in the workdir, each unit has a
folder of its own there, and what is done is read off the files.
"""
