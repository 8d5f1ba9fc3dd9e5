// Package figures has the results of the benchmark: the samples of all rounds, the lines that compare
// them in pairs, and the statistics of these ratios.
package figures
