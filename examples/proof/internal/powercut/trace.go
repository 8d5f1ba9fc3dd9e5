package powercut

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A call is a system call. Its moments are lines of the log: a call whose begin
// and end nothing came between has one for both.
type call struct {
	name   string
	args   []string // as strace prints them
	result int64
	failed bool // it did nothing, as far as one can know

	start, end int
}

// A listener is called for each call when it begins, with no result yet, and when
// it has ended.
type listener interface {
	begin(c *call) error
	finish(c *call) error
}

// readTrace reads strace's log and returns how many lines it has.
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
			return lines, nil // a last line without an end was never finished
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
	if l.name == "" { // a thread that has ended ends no call any more
		delete(t.open, l.pid)
		delete(t.texts, l.pid)
		return nil
	}
	var c *call
	text := l.text
	if l.resumed {
		if c = t.open[l.pid]; c == nil || c.name != l.name {
			return fmt.Errorf("it ends a %s that did not begin", l.name)
		}
		text = append(t.texts[l.pid], text...)
		delete(t.open, l.pid)
		delete(t.texts, l.pid)
	} else {
		if t.open[l.pid] != nil {
			return fmt.Errorf("a %s begins within another call of its thread", l.name)
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
