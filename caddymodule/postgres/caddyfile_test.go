package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/scribegate/scribegate/caddymodule"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// adapt returns the configuration of a Caddyfile with a queue.
func adapt(queue string) (string, error) {
	text := "{\n\tadmin off\n\tscribegate {\n\t\tqueue postgres " + queue + "\n\t}\n}\n"
	cfg, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return string(cfg), err
}

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ queue, want string }{
		"minimal": {
			"{env.DSN} {\n encryption_key {env.KEY}\n}",
			`{"dsn":"{env.DSN}","encryption_keys":["{env.KEY}"],"engine":"postgres"}`,
		},
		"everything": {
			"{env.DSN} {\n schema clinic\n max_connections 20\n max_size 1TiB\n encryption_key {env.KEY} {env.OLD}\n lease 1m\n}",
			`{"dsn":"{env.DSN}","encryption_keys":["{env.KEY}","{env.OLD}"],"engine":"postgres","lease":60000000000,"max_connections":20,"max_size":1099511627776,"schema":"clinic"}`,
		},
		"keywords": {
			`"host=/run/postgresql dbname=scribegate" {` + "\n encryption_key {env.KEY}\n}",
			`{"dsn":"host=/run/postgresql dbname=scribegate","encryption_keys":["{env.KEY}"],"engine":"postgres"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := adapt(c.queue); err != nil || !strings.Contains(got, `"queue":`+c.want) {
				t.Errorf("%s, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestCaddyfileMistakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ queue, want string }{
		"no DSN":              {"{\n encryption_key {env.KEY}\n}", "queue postgres: write it as: queue postgres {env.SCRIBEGATE_DSN} { ... }; a DSN with spaces needs quotes, at Caddyfile:4"},
		"DSN without quotes":  {"host=db dbname=scribegate", "needs quotes"},
		"not a DSN":           {"postgres://db:port/x", "the DSN is not valid"},
		"request placeholder": {"{http.request.host}", "queue postgres:"},
		"unknown option":      {"{env.DSN} {\n path x\n}", `queue postgres: unknown subdirective "path"; known are schema, max_connections, max_size, encryption_key, lease, at Caddyfile:5`},
		"given twice":         {"{env.DSN} {\n lease 30s\n lease 30s\n}", "lease is given twice"},
		"few connections":     {"{env.DSN} {\n max_connections 3\n}", "max_connections must be at least 4"},
		"short lease":         {"{env.DSN} {\n lease 1s\n}", "lease must be at least 3s"},
		"schema of another":   {"{env.DSN} {\n schema pg_catalog\n}", "schema must not be one of the database's own"},
		"no size":             {"{env.DSN} {\n max_size many\n}", `max_size: "many" is not a size`},
		"bad key":             {"{env.DSN} {\n encryption_key short\n}", "encryption_key:"},
		"no key":              {"{env.DSN} {\n encryption_key\n}", "encryption_key: wrong number of arguments"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := adapt(c.queue); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// A DSN, and errors about it, show no password.
func TestProvision(t *testing.T) {
	t.Parallel()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	key := seal.NewKey().Encode()
	p := &Postgres{DSN: "postgres://clinic:the-password@db.example:6432/scribegate", EncryptionKeys: []string{key}}
	if err := p.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	if got := p.Key(); got != "postgres:db.example:6432/scribegate/scribegate" {
		t.Errorf("key %s", got)
	}
	for _, p := range []*Postgres{
		{EncryptionKeys: []string{key}},
		{DSN: "postgres://clinic:the-password@db.example/x?sslmode=wrong", EncryptionKeys: []string{key}},
		{DSN: "postgres://clinic:the-password@db.example/x"},
		{DSN: "postgres://clinic:the-password@db.example/x", EncryptionKeys: []string{key}, Schema: "{env.X}"},
	} {
		if err := p.Provision(ctx); err == nil || strings.Contains(err.Error(), "the-password") {
			t.Errorf("Provision(%+v): %v", fmt.Sprint(p.Schema), err)
		}
	}
}
