#!/bin/sh
# Installs chromium, in which the tests of the web pages run, when it is missing:
# by apt as root, else it says the command.
set -eu
if command -v chromium >/dev/null 2>&1; then
	exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "chromium is missing: installing it with apt-get" >&2
	if apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; then
		exit 0
	fi
fi
echo "chromium is missing. Install it and run make again:" >&2
echo "    sudo apt-get install chromium      (Debian, Ubuntu)" >&2
exit 12
