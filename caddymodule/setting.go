package caddymodule

import (
	"context"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/secret"
)

// resolveSetting returns a setting that is not a secret, such as an upstream's URL, with its
// global placeholders replaced: {env.*}, {file.*} and {system.*}. An unset or empty placeholder
// is an error. So is any other placeholder, which has no value when the configuration is loaded.
func resolveSetting(setting string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), secret.ReadTimeout)
	defer cancel()
	global := caddy.NewReplacer().WithoutFile()
	return replacePlaceholders(setting, func(key string) (value string, err error) {
		// Caddy's own {file.*} would wait for a FIFO forever, so files are read as those of
		// secrets.
		if path, ok := strings.CutPrefix(key, "file."); ok {
			value, err = secret.Files.Value(ctx, path)
		} else {
			value, _ = global.GetString(key)
		}
		if err == nil && value == "" {
			err = fmt.Errorf("{%s} is unset or empty", key)
		}
		return value, err
	})
}

// checkSetting returns an error for a setting for which resolveSetting returns an error in every
// environment. It reads no files.
func checkSetting(setting string) error {
	_, err := replacePlaceholders(setting, func(string) (string, error) { return "", nil })
	return err
}

// replacePlaceholders returns a setting with its global placeholders replaced by values.
func replacePlaceholders(setting string, value func(key string) (string, error)) (string, error) {
	return caddy.NewEmptyReplacer().ReplaceFunc(setting, func(key string, _ any) (any, error) {
		if name, ok := strings.CutPrefix(key, "http.request.uri.path.file."); ok {
			return nil, secret.BareNameError(name)
		}
		for _, global := range []string{"env.", "file.", "system."} {
			if name, ok := strings.CutPrefix(key, global); ok && name != "" {
				return value(key)
			}
		}
		// Text in braces that is not a placeholder of Caddy may be a part of a password.
		what := "a placeholder in it"
		if strings.HasPrefix(key, "http.") || strings.HasPrefix(key, "time.") {
			what = "the placeholder {" + key + "}"
		}
		return nil, fmt.Errorf("%s cannot be resolved when the configuration is loaded; use {env.NAME} or {file./absolute/path}", what)
	})
}
