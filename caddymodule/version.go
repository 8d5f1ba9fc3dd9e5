package caddymodule

import (
	"runtime/debug"
	"sync"
)

const modulePath = "github.com/scribegate/scribegate"

// version is Scribegate's version, as the build knows it; "dev" in a checkout.
var version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	modules := append([]*debug.Module{&info.Main}, info.Deps...)
	for _, m := range modules {
		if m.Path == modulePath && m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	return "dev"
})
