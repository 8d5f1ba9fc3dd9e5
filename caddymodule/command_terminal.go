package caddymodule

import (
	"io"
	"os"

	"golang.org/x/term"
)

// A colour is what a terminal is told before text that stands out.
type colour string

// The colours, for what is to be seen at a glance and for nothing else.
const (
	plain  colour = ""
	dim    colour = "\x1b[2m"
	red    colour = "\x1b[31m"
	green  colour = "\x1b[32m"
	yellow colour = "\x1b[33m"

	endOfColour = "\x1b[0m"
)

// A terminal is what a command's output goes to. What goes into a file or a pipe
// has neither width nor colours.
type terminal struct {
	width   int // in columns; 0 is no limit
	colours bool
}

// terminalOf looks at what is written to. Colours are left out where the
// environment asks for that: see no-color.org.
func terminalOf(w io.Writer) terminal {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return terminal{}
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 0
	}
	return terminal{width: width, colours: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// paint colours a text, where it may be.
func (t terminal) paint(text string, c colour) string {
	if !t.colours || c == plain || text == "" {
		return text
	}
	return string(c) + text + endOfColour
}
