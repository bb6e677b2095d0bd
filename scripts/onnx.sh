#!/bin/sh
# Installs ONNX Runtime, to which tests hold the graphs that avjepa export writes, into
# ~/.cache/avjepa/onnx ($XDG_CACHE_HOME). It comes inside an npm package; the program
# itself needs neither. Other systems' libraries in the package are removed.
set -eu
version=1.30.0
case $(uname -s) in
Darwin) cache=$HOME/Library/Caches ;;
*) cache=${XDG_CACHE_HOME:-$HOME/.cache} ;;
esac
dir=$cache/avjepa/onnx
package=$dir/node_modules/onnxruntime-node
if grep -qs "\"version\": \"$version\"" "$package/package.json" &&
	command -v node >/dev/null 2>&1; then
	exit 0
fi
if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
	echo "node or npm is missing. Install them and run scripts/onnx.sh again:" >&2
	echo "    sudo apt-get install nodejs npm      (Debian, Ubuntu)" >&2
	exit 12
fi
mkdir -p "$dir"
# Its install script would fetch CUDA's libraries.
npm install --prefix "$dir" --ignore-scripts --no-audit --no-fund --silent \
	"onnxruntime-node@$version" >&2
case $(uname -s) in
Linux) rm -rf "$package"/bin/napi-v*/darwin "$package"/bin/napi-v*/win32 ;;
Darwin) rm -rf "$package"/bin/napi-v*/linux "$package"/bin/napi-v*/win32 ;;
esac
