// Package terminal prints for people: tables whose columns line up and fit the width of
// the terminal, colours, a line that shows the progress of work, and a question that must
// be answered before something is deleted. For an output that is a file or a pipe it
// prints plain text.
package terminal
