#!/bin/sh
# Installs ffmpeg when it is missing: by apt as root, else it says the command.
set -eu
if command -v ffmpeg >/dev/null 2>&1 && command -v ffprobe >/dev/null 2>&1; then
	exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "ffmpeg is missing: installing it with apt-get" >&2
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ffmpeg >/dev/null
	exit 0
fi
echo "ffmpeg is missing. Install it and run make again:" >&2
echo "    sudo apt-get install ffmpeg      (Debian, Ubuntu)" >&2
echo "    sudo dnf install ffmpeg-free     (Fedora)" >&2
echo "    brew install ffmpeg              (macOS)" >&2
exit 12
