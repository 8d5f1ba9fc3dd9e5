package postgresqueue

import (
	"strings"
	"testing"
)

// TLS with a check of the server's certificate is the default for a remote host.
func TestParseDSN(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	t.Setenv("PGHOST", "")
	for dsn, want := range map[string]struct {
		tls      bool   // whether the connection is refused without TLS
		verified string // the name in the certificate
		address  string
	}{
		"postgres://u:p@db.example/s":                                          {true, "db.example", "db.example:5432/s"},
		"postgresql://u:p@db.example:1/s?connect_timeout=2":                    {true, "db.example", "db.example:1/s"},
		"host=db.example dbname=s":                                             {true, "db.example", "db.example:5432/s"},
		"host=10.1.2.3 dbname=s":                                               {true, "10.1.2.3", "10.1.2.3:5432/s"},
		"postgres://a.example:1,b.example:2/s?target_session_attrs=read-write": {true, "a.example", "a.example:1,b.example:2/s"},
		"postgres://u:p@db.example/s?sslmode=require":                          {true, "", "db.example:5432/s"},
		"host=db.example dbname=s sslmode=disable":                             {false, "", "db.example:5432/s"},
		"postgres://u:p@localhost/s":                                           {false, "", "localhost:5432/s"},
		"postgres://u:p@127.0.0.1/s":                                           {false, "", "127.0.0.1:5432/s"},
		"postgres://u:p@[::1]/s":                                               {false, "", "[::1]:5432/s"},
		"postgres:///s?host=/run/postgresql":                                   {false, "", "/run/postgresql:5432/s"},
		"postgres://u:p@localhost,db.example/s":                                {true, "localhost", "localhost:5432,db.example:5432/s"},
	} {
		c, err := ParseDSN(dsn)
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		tls := c.TLSConfig != nil
		for _, f := range c.Fallbacks {
			tls = tls && f.TLSConfig != nil
		}
		verified := ""
		if c.TLSConfig != nil && !c.TLSConfig.InsecureSkipVerify {
			verified = c.TLSConfig.ServerName
		}
		if tls != want.tls || tls && verified != want.verified || Address(c) != want.address {
			t.Errorf("%s: TLS %t for %q, address %s; want %+v", dsn, tls, verified, Address(c), want)
		}
	}
	for _, dsn := range []string{"postgres://u:the-password@db:x/s", "host=db password=the-password sslmode=none", "the-password"} {
		if _, err := ParseDSN(dsn); err == nil || strings.Contains(err.Error(), "the-password") {
			t.Errorf("%s: error %v", dsn, err)
		}
	}
}
