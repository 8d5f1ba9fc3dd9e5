// Package gateway runs the gateway that a scenario injects faults into. A Rig has the process, its
// directory, ports and Caddyfile, and the backends. It starts, stops and kills the process, uses its
// admin API and commands, reads the queue's files, and measures what the process uses.
package gateway
