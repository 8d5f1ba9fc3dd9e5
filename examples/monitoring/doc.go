// Package monitoring holds what watches Scribegate with Prometheus and Grafana.
// Its tests, behind the build tag examples, run all of it for real.
package monitoring
