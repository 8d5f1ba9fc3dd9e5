#!/bin/sh
# Builds the files of a release into bin/package, for each target of TARGETS: an archive,
# an SBOM, and for Linux a .deb and a .rpm. `make package` sets the variables.
set -eu

out=${OUT:-bin/package}
rm -rf "$out"
mkdir -p "$out"

# v1.2.3, or between releases v1.2.3+4.g5678abc, which packages sort after v1.2.3.
if [ -z "${VERSION:-}" ]; then
	described=$(git describe --tags --match 'v*' 2>/dev/null || echo "v0.0.0-0-g$(git rev-parse --short HEAD)")
	VERSION=$(echo "$described" | sed 's/-\([0-9]*\)-g\([0-9a-f]*\)$/+\1.g\2/')
fi
case $VERSION in
	v[0-9]*.[0-9]*.[0-9]*) ;;
	*) echo "VERSION is $VERSION; write it as in v1.2.3" >&2; exit 2 ;;
esac
plain=${VERSION#v}

for target in $TARGETS; do
	os=${target%/*}
	arch=${target#*/}
	name=scribegate_${plain}_${os}_$arch
	folder=$out/$name
	binary=$folder/caddy
	if [ "$os" = windows ]; then
		binary=$binary.exe
	fi
	echo "package $VERSION for $target"
	mkdir "$folder"
	# shellcheck disable=SC2086 # several flags
	GOOS=$os GOARCH=$arch $GO build $BUILDFLAGS -tags "$TAGS" \
		-ldflags "-s -w -X github.com/scribegate/scribegate/caddymodule/internal/build.version=$VERSION" \
		-o "$binary" ./caddymodule/cmd/caddy
	cp LICENSE README.md Caddyfile "$folder"
	tar -czf "$folder.tar.gz" --owner=0 --group=0 --numeric-owner -C "$out" "$name"
	"$CYCLONEDX" bin -json -noserial -version "$VERSION" -output "$folder.cdx.json" "$binary"
	if [ "$os" = linux ]; then
		for packager in deb rpm; do
			ARCH=$arch VERSION=$plain BINARY=$binary \
				"$NFPM" package --config examples/deployment/packages/nfpm.yaml --packager $packager --target "$out"
		done
	fi
	rm -r "$folder"
done
cd "$out"
sums=$(sha256sum -- *)
echo "$sums" >SHA256SUMS
