// Package monitoring contains alert rules for Prometheus and a dashboard for Grafana.
// Its tests, with the build tag examples, run them with a real Prometheus and a real
// gateway.
package monitoring
