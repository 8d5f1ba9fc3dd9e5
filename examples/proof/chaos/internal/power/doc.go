// Package power has the scenario of power cuts. It records gateways with strace, and opens their queues
// in the states that power cuts can leave, see examples/proof/internal/powercut.
package power
