package powercut

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A call is a system call. Its moments are line numbers of the log. If the call starts and ends in one line, both are the
// same.
type call struct {
	name   string
	args   []string // as strace prints them
	result int64
	failed bool // whether it had no effect, as far as the log shows

	start, end int
}

// A listener is notified of each call at its start, without a result, and at its end.
type listener interface {
	begin(c *call) error
	finish(c *call) error
}

// readTrace reads strace's log and returns the number of its lines.
func readTrace(r io.Reader, to listener) (lines int, err error) {
	in := bufio.NewReaderSize(r, 1<<20)
	t := tracing{to: to, open: make(map[int]*call), texts: make(map[int][]byte)}
	for {
		b, err := in.ReadBytes('\n')
		if len(b) > 0 && err == nil {
			lines++
			if err := t.line(bytes.TrimSuffix(b, []byte{'\n'}), lines); err != nil {
				return lines, fmt.Errorf("reading strace's log: line %d: %w", lines, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return lines, nil // a last line without a line break is incomplete
		}
		if err != nil {
			return lines, fmt.Errorf("reading strace's log: %w", err)
		}
	}
}

type tracing struct {
	to    listener
	open  map[int]*call // by thread
	texts map[int][]byte
}

func (t *tracing) line(b []byte, number int) error {
	l, err := parseLine(b)
	if err != nil {
		return err
	}
	if l.name == "" { // the thread has ended, and its open call with it
		delete(t.open, l.pid)
		delete(t.texts, l.pid)
		return nil
	}
	var c *call
	text := l.text
	if l.resumed {
		if c = t.open[l.pid]; c == nil || c.name != l.name {
			return fmt.Errorf("it ends a call of %s that did not start", l.name)
		}
		text = append(t.texts[l.pid], text...)
		delete(t.open, l.pid)
		delete(t.texts, l.pid)
	} else {
		if t.open[l.pid] != nil {
			return fmt.Errorf("a call of %s starts within another call of its thread", l.name)
		}
		c = &call{name: l.name, start: number}
	}
	var rest []byte
	if c.args, rest, err = parseArgs(text); err != nil {
		return err
	}
	if !l.resumed {
		if err := t.to.begin(c); err != nil {
			return err
		}
	}
	if l.open {
		t.open[l.pid], t.texts[l.pid] = c, bytes.Clone(text)
		return nil
	}
	if c.result, c.failed, err = parseResult(rest); err != nil {
		return err
	}
	c.end = number
	return t.to.finish(c)
}
