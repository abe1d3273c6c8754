#!/bin/sh
# Chromium from Debian's packages, for the tests of the explorer.
set -eu
dpkg-query --show --showformat='${Status}' chromium 2>/dev/null | grep -q 'ok installed' && exit 0
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends chromium >/dev/null
