#!/usr/bin/env bash
# Starts munged, slurmctld and three slurmds on this machine, as root, without systemd:
#
#   start.sh STATE
#
# It needs: apt-get install --no-install-recommends slurm-wlm munge. STATE is a folder for
# everything they write; stop.sh STATE ends them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
state=$1
if (exec 3<>/dev/tcp/127.0.0.1/6817) 2>/dev/null; then
  echo 'port 6817 is taken: another Slurm runs here' >&2
  exit 1
fi
export SLURM_CONF=$state/slurm.conf
mkdir -p "$state"/{state,dev} /run/munge
[[ -e $state/dev/nvidia0 ]] || mknod "$state/dev/nvidia0" c 1 3 # /dev/null as a GPU
for name in slurm gres; do
  sed -e "s|@STATE@|$state|g" -e "s|@HOST@|$(hostname -s)|g" "$here/$name.conf.in" >"$state/$name.conf"
done
chown munge:munge /run/munge # munged refuses a folder that is not its own
chmod 755 /run/munge
if ! munge -n </dev/null >/dev/null 2>&1; then
  su -s /bin/bash munge -c 'munged --force' >/dev/null 2>&1 || true
  for _ in {1..50}; do munge -n </dev/null 2>/dev/null | unmunge >/dev/null 2>&1 && break; sleep 0.1; done
  touch "$state/our_munged"
fi
slurmctld
for _ in {1..100}; do scontrol ping 2>/dev/null | grep -q 'is UP' && break; sleep 0.1; done
for node in node1 node2 node3; do slurmd -N "$node"; done
for _ in {1..200}; do [[ $(sinfo -h -N -p low -o '%T' | sort -u) == idle ]] && exit 0; sleep 0.1; done
sinfo -N >&2
exit 1
