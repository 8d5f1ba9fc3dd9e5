//go:build postgres

package postgresqueue

import (
	"errors"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// everywhere is an address that connects to this machine, as loopback does, and does not
// count as loopback.
const everywhere = "0.0.0.0"

// The server's certificate is verified by default, unless the host is loopback. What is wrong
// with it is the reason why the store is unavailable, with what to change.
func TestTLS(t *testing.T) {
	t.Parallel()
	authority, err := pgtest.NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	other, err := pgtest.NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	encrypted, plain := startServer(t, pgtest.Options{TCP: true}), startServer(t, pgtest.Options{TCP: true})
	if err := encrypted.UseTLS(authority, everywhere); err != nil {
		t.Fatal(err)
	}
	at := func(s *pgtest.Server, host, parameters string) string {
		return strings.Replace(s.AddressDSN(), "127.0.0.1", host, 1) + parameters
	}
	for name, c := range map[string]struct{ dsn, want string }{
		"verified by default":     {at(encrypted, everywhere, "?sslrootcert="+authority.File), ""},
		"verified":                {at(encrypted, everywhere, "?sslmode=verify-full&sslrootcert="+authority.File), ""},
		"the system's roots only": {at(encrypted, everywhere, ""), "set sslrootcert in the DSN"},
		"another authority":       {at(encrypted, everywhere, "?sslrootcert="+other.File), "set sslrootcert in the DSN"},
		"another name":            {at(encrypted, "127.0.0.1", "?sslmode=verify-full&sslrootcert="+authority.File), "write the host in the DSN as it is in the server's certificate"},
		"a server without TLS":    {at(plain, everywhere, "?sslrootcert="+authority.File), "turn on ssl at the server"},
		"loopback":                {at(plain, "127.0.0.1", ""), ""},
		"asked not to verify":     {at(plain, everywhere, "?sslmode=disable"), ""},
		"another password":        {strings.Replace(plain.AddressDSN(), "the%20password", "the-old-password", 1), "check the user and the password in the DSN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, err := Open(Options{DSN: c.dsn, Schema: newSchema(t), Keys: []seal.Key{seal.NewKey()}, Settings: queue.DefaultSettings()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = q.Close() })
			switch err := q.Unavailable(); {
			case c.want == "" && err != nil:
				t.Errorf("unavailable: %v", err)
			case c.want == "":
				put(t, q, "a", "ehr")
			case !errors.Is(err, queue.ErrUnavailable) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "password of") || strings.Contains(err.Error(), "old-password"):
				t.Errorf("unavailable: %v; want %q, and no password", err, c.want)
			}
			if c.want != "" {
				return
			}
			var encrypting bool
			c, err := q.connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer closeConn(c)
			if err := c.QueryRow(t.Context(), `SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`).Scan(&encrypting); err != nil || encrypting != strings.HasPrefix(name, "verified") {
				t.Errorf("encrypted: %t, %v", encrypting, err)
			}
		})
	}
}
