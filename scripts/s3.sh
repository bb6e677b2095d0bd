#!/bin/sh
# Builds bin/versitygw, the S3 server that tests of internal/store run, and prints
# where it is. It needs Go alone; a minute or two the first time, then nothing,
# until the module that names its version changes.
set -eu
cd "$(dirname "$0")/.."
server=bin/versitygw
module=internal/store/s3server
if [ ! -x $server ] || [ $module/go.mod -nt $server ] || [ $module/go.sum -nt $server ]; then
	echo "building $server" >&2
	CGO_ENABLED=0 "${GO:-go}" build -C $module -buildvcs=false -ldflags=-s \
		-o "$PWD/$server" github.com/versity/versitygw/cmd/versitygw
	touch $server # go build leaves one that is up to date as it is
fi
echo "$PWD/$server"
