// Package plugintest tests that another Caddy plugin can add a provider and a queue engine
// to Scribegate: its test uses only what other modules can import.
package plugintest
