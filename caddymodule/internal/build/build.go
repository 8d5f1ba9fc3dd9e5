// Package build describes this program: its version, and the providers that are built
// into it.
package build

import (
	"runtime/debug"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/verifier"
)

// ModulePath is the path of the Go module.
const ModulePath = "github.com/scribegate/scribegate"

// version is set by the linker (-X) in the binaries of a release, which are built in a
// checkout: there the build information has no version.
var version string

// Version returns the version of Scribegate, or "dev" in a checkout.
var Version = sync.OnceValue(func() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	modules := append([]*debug.Module{&info.Main}, info.Deps...)
	for _, m := range modules {
		if m.Path == ModulePath && m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	return "dev"
})

// ProviderNamespace is the namespace of the Caddy modules that are providers, and a dot.
const ProviderNamespace = "scribegate.providers."

// EventTypes returns the short types of the events that the registered providers send
// today.
func EventTypes() []string {
	var types []string
	for _, info := range caddy.GetModules(strings.TrimSuffix(ProviderNamespace, ".")) {
		if typer, ok := info.New().(verifier.EventTyper); ok {
			types = append(types, typer.EventTypes()...)
		}
	}
	return types
}
