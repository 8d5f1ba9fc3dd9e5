package caddymodule

import (
	"context"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// resolveSetting puts the values of Caddy's global placeholders into a setting
// that is not a secret, such as an upstream's URL. Caddy's own {file.*} would
// wait for a FIFO for ever, so files are read as those of secrets are.
func resolveSetting(setting string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), secretReadTimeout)
	defer cancel()
	var failed error
	global, bounded := caddy.NewReplacer(), caddy.NewEmptyReplacer()
	bounded.Map(func(key string) (any, bool) {
		path, ok := strings.CutPrefix(key, "file.")
		if !ok {
			return global.Get(key)
		}
		v, err := secretFiles.value(ctx, path)
		if err != nil {
			failed = err
		}
		return v, true
	})
	return bounded.ReplaceKnown(setting, ""), failed
}
