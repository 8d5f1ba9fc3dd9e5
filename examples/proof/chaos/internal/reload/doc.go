// Package reload has the scenario in which configurations are loaded, rejected and changed under load,
// and in which an upstream is removed while events wait for it.
package reload
