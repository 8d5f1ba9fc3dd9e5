// Package report writes the results of the benchmark: tables as text and as Markdown, and a plot of
// the lines as SVG.
package report
