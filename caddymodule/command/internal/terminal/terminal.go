package terminal

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// A Colour is the escape sequence in front of coloured text.
type Colour string

// The colours mark what a reader must not overlook.
const (
	plain  Colour = ""
	dim    Colour = "\x1b[2m"
	Red    Colour = "\x1b[31m"
	Green  Colour = "\x1b[32m"
	Yellow Colour = "\x1b[33m"

	endOfColour = "\x1b[0m"
)

// A Terminal describes the output of a command. A file or a pipe has neither width
// nor colours.
type Terminal struct {
	width   int // in columns; 0 is no limit
	colours bool
}

// Of returns the terminal that w writes to. NO_COLOR in the environment turns
// colours off: see no-color.org.
func Of(w io.Writer) Terminal {
	if !IsTerminal(w) {
		return Terminal{}
	}
	f, _ := w.(*os.File) // it is one
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 0
	}
	return Terminal{width: width, colours: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Cell returns the text of a cell in its colour, if the terminal has colours.
func (t Terminal) Cell(c Cell) string { return t.Paint(c.text, c.colour) }

// Paint returns a text in a colour, if the terminal has colours.
func (t Terminal) Paint(text string, c Colour) string {
	if !t.colours || c == plain || text == "" {
		return text
	}
	return string(c) + text + endOfColour
}

// IsTerminal reports whether a command's input or output is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Questioner returns a function that asks a question in the terminal and reports
// whether the answer is yes. It returns nil if input or output is not a terminal.
func Questioner(cmd *cobra.Command) func(question string) bool {
	seen := []io.Writer{cmd.ErrOrStderr(), cmd.OutOrStdout()}
	i := slices.IndexFunc(seen, func(w io.Writer) bool { return IsTerminal(w) })
	if i < 0 || !IsTerminal(cmd.InOrStdin()) {
		return nil
	}
	return func(question string) bool {
		_, _ = fmt.Fprint(seen[i], question, " [y/N] ")
		answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if err != nil {
			_, _ = fmt.Fprintln(seen[i]) // no line break was typed
		}
		return slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer)))
	}
}
