// Package results has the scenario in which the gateway is killed while it works on Soniox's results. The
// API is the stand-in of examples/providers, which fails now and then and has a budget of requests.
package results
