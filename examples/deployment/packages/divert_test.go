//go:build examples

package packages_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/deployment/internal/cell"
)

// debianCaddy builds and installs a package that has the program of Debian's caddy, as far as
// this test is concerned: it prints the version.
const debianCaddy = `
mkdir -p /tmp/caddy/DEBIAN /tmp/caddy/usr/bin
printf 'Package: caddy\nVersion: %s\nArchitecture: all\nMaintainer: nobody\nDescription: in place of Debian\n' "$1" >/tmp/caddy/DEBIAN/control
printf '#!/bin/sh\necho of Debian, %s\n' "$1" >/tmp/caddy/usr/bin/caddy
chmod 0755 /tmp/caddy/usr/bin/caddy
dpkg-deb --build /tmp/caddy /tmp/caddy.deb
dpkg --install /tmp/caddy.deb
`

// checkDivert puts the gateway in place of Debian's caddy with the commands of the chapter,
// upgrades Debian's package, and undoes it.
func checkDivert(ctx context.Context, t *testing.T, c *cell.Cell) {
	t.Helper()
	chapter, err := os.ReadFile("README.md")
	must(t, err)
	var do, undo []string
	for _, command := range regexp.MustCompile("sudo ((?:dpkg-divert|ln|rm /usr/bin/caddy)[^`\n]*)").FindAllStringSubmatch(string(chapter), -1) {
		if strings.Contains(command[1], "--add") || strings.HasPrefix(command[1], "ln ") {
			do = append(do, command[1])
		} else {
			undo = append(undo, command[1])
		}
	}
	if len(do) != 2 || len(undo) != 2 {
		t.Fatalf("the chapter has the commands %q, and to undo them %q", do, undo)
	}
	caddy := func(want string) {
		t.Helper()
		if out := c.Sh(ctx, t, "caddy scribegate version"); !strings.HasPrefix(out, want) {
			t.Errorf("caddy is %q, want %q", out, want)
		}
	}

	c.Sh(ctx, t, debianCaddy, "1")
	caddy("of Debian, 1")
	c.Sh(ctx, t, strings.Join(do, "\n"))
	caddy("scribegate ")
	c.Sh(ctx, t, debianCaddy, "2")
	caddy("scribegate ")
	c.Sh(ctx, t, strings.Join(undo, "\n"))
	caddy("of Debian, 2")
	c.Run(ctx, t, "dpkg", "--purge", "caddy")
}
