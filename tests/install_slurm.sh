#!/bin/sh
# Slurm from Debian's packages, for `make test-slurm`; its daemons are started by the test, not by the packages.
set -eu
missing=
for package in munge slurmctld slurmd slurm-client; do
    dpkg-query --show --showformat='${Status}' $package 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
# no unit of these packages is to start by itself, where there is a systemd
[ ! -d /run/systemd/system ] || $sudo systemctl mask --quiet munge slurmctld slurmd
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
