// Package upstreams has the scenario with bad upstreams: each kind of them is beside a healthy one, whose
// lag must not grow.
package upstreams
