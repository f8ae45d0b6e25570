#!/bin/sh
# Install Slurm and munge for the tests on a real cluster if they are missing and apt can be used. Otherwise say so.
# The cluster of the tests is one of its own: the services that the packages bring are not started.
set -eu
found=yes
for name in slurmctld slurmd sbatch munged; do
    command -v "$name" >/dev/null 2>&1 || [ -x "/usr/sbin/$name" ] || found=no
done
[ "$found" = yes ] && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; then
    echo "installing slurm-wlm and munge"
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
    exit 0
fi
echo "Slurm is missing, so its tests will be skipped. Install it as root (apt-get install slurm-wlm munge), then run this again." >&2
