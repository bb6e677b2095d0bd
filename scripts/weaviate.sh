#!/bin/sh
# Builds bin/weaviate, the Weaviate server that tests of internal/weaviate and cmd/avjepa run,
# and prints where it is. It needs Go alone; minutes the first time, then nothing, until the
# module that names its version changes.
set -eu
cd "$(dirname "$0")/.."
server=bin/weaviate
module=internal/weaviate/weaviateserver
if [ ! -x $server ] || [ $module/go.mod -nt $server ] || [ $module/go.sum -nt $server ]; then
	echo "building $server" >&2
	CGO_ENABLED=0 "${GO:-go}" build -C $module -buildvcs=false -ldflags=-s \
		-o "$PWD/$server" github.com/weaviate/weaviate/cmd/weaviate-server
	touch $server # go build leaves one that is up to date as it is
fi
echo "$PWD/$server"
