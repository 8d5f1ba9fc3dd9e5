package command

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

// A colour is the escape sequence in front of coloured text.
type colour string

// The colours, for what must be seen at a glance.
const (
	plain  colour = ""
	dim    colour = "\x1b[2m"
	red    colour = "\x1b[31m"
	green  colour = "\x1b[32m"
	yellow colour = "\x1b[33m"

	endOfColour = "\x1b[0m"
)

// A terminal describes the output of a command. A file or a pipe has neither width
// nor colours.
type terminal struct {
	width   int // in columns; 0 is no limit
	colours bool
}

// terminalOf returns the terminal that w writes to. NO_COLOR in the environment turns
// colours off: see no-color.org.
func terminalOf(w io.Writer) terminal {
	if !isTerminal(w) {
		return terminal{}
	}
	f, _ := w.(*os.File) // it is one
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 0
	}
	return terminal{width: width, colours: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// paint returns a text in a colour, if the terminal has colours.
func (t terminal) paint(text string, c colour) string {
	if !t.colours || c == plain || text == "" {
		return text
	}
	return string(c) + text + endOfColour
}

// isTerminal reports whether a command's input or output is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// questioner returns a function that asks a question in the terminal and reports
// whether the answer is yes. It returns nil if input or output is not a terminal.
func questioner(cmd *cobra.Command) func(question string) bool {
	seen := []io.Writer{cmd.ErrOrStderr(), cmd.OutOrStdout()}
	i := slices.IndexFunc(seen, func(w io.Writer) bool { return isTerminal(w) })
	if i < 0 || !isTerminal(cmd.InOrStdin()) {
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
