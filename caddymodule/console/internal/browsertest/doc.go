// Package browsertest tests the console in a real browser: Debian's Chromium, driven by
// npm's playwright-core, with axe-core for accessibility. Its test starts Caddy with a gateway, its
// backends and several sites with the console, and runs the scripts in testdata/browser. It also
// takes the pictures of the pages, into bin/console.
//
// The test has the build tag examples, since it needs Chromium, Node.js and npm:
//
//	go test -tags examples ./caddymodule/console/internal/browsertest
//
// ONLY=<text> in the environment restricts it to the checks whose names have the text.
package browsertest
