// Package soak has the scenario with random faults for a long time, after which the gateway must have
// lost and leaked nothing.
package soak
