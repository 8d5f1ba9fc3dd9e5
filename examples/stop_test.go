//go:build examples

package examples_test

import (
	"net"
	"strings"
	"testing"
	"time"
)

// TestBackendsStopBesideAnOpenConnection stops each backend while an idle connection
// is open: the backend must not wait for it.
func TestBackendsStopBesideAnOpenConnection(t *testing.T) {
	ctx := bounded(t)
	server := startPostgres(t)
	for _, folder := range []string{
		"go", "express", "express-soapnoteapi", "express-postgres", "flask", "flask-soapnoteapi", "fastapi-postgres",
	} {
		t.Run(folder, func(t *testing.T) {
			b := prepare(ctx, t, folder).start(ctx, t, append(newDatabase(t, server, folder), secrets...)...)
			conn, err := net.DialTimeout("tcp", strings.TrimPrefix(b.url, "http://"), 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := b.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
