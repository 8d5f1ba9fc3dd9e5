package powercut

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A line is a line of strace's log with `-f -xx -o`:
//
//	123  pwrite64(9, "\x01\x02", 2, 4096) = 2
//	123  fdatasync(9 <unfinished ...>
//	123  <... fdatasync resumed>)          = 0
type line struct {
	pid     int
	name    string // of the system call; "" if the line has no call
	text    []byte // after the opening parenthesis, or after "resumed>"
	resumed bool   // whether it ends a call that started in another line
	open    bool   // whether the call ends in another line
}

var (
	unfinished = []byte(" <unfinished ...>")
	resuming   = []byte("<... ")
	resumed    = []byte(" resumed>")
)

func parseLine(b []byte) (line, error) {
	number, rest, ok := bytes.Cut(b, []byte{' '})
	pid, err := strconv.Atoi(string(number))
	if !ok || err != nil {
		return line{}, fmt.Errorf("it does not start with a process id: %.80q", b)
	}
	l := line{pid: pid}
	rest = bytes.TrimLeft(rest, " ")
	switch {
	case bytes.HasPrefix(rest, []byte("+++")), bytes.HasPrefix(rest, []byte("---")):
		return l, nil // the end of a thread, or a signal
	case bytes.HasPrefix(rest, resuming):
		name, text, ok := bytes.Cut(rest[len(resuming):], resumed)
		if !ok {
			return line{}, fmt.Errorf("it resumes no call: %.80q", b)
		}
		l.name, l.text, l.resumed = string(name), text, true
	default:
		name, text, ok := bytes.Cut(rest, []byte{'('})
		if !ok || len(name) == 0 {
			return line{}, fmt.Errorf("it has no system call: %.80q", b)
		}
		l.name, l.text = string(name), text
	}
	if text, ok := bytes.CutSuffix(l.text, unfinished); ok {
		l.text, l.open = text, true
	}
	return l, nil
}

// parseArgs returns the arguments of a call, and the text after the closing parenthesis, which is nil if there is
// none.
func parseArgs(text []byte) (args []string, rest []byte, err error) {
	depth, from := 0, 0
	take := func(to int) {
		if arg := bytes.TrimSpace(text[from:to]); len(arg) > 0 {
			args = append(args, string(arg))
		}
		from = to + 1
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			n := bytes.IndexByte(text[i+1:], '"') // -xx leaves no quote in a string
			if n < 0 {
				return nil, nil, errors.New("it has a string without an end")
			}
			i += 1 + n
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth == 0 {
				take(i)
				return args, text[i+1:], nil
			}
			depth--
		case ',':
			if depth == 0 {
				take(i)
			}
		}
	}
	take(len(text))
	return args, nil, nil
}

// parseResult returns the result of a call, and whether it failed or was interrupted, so that it had no effect.
func parseResult(rest []byte) (result int64, failed bool, err error) {
	_, text, ok := bytes.Cut(rest, []byte("= "))
	if !ok {
		return 0, false, fmt.Errorf("it has no result: %.80q", rest)
	}
	word, _, _ := bytes.Cut(text, []byte{' '})
	if string(word) == "?" {
		return 0, true, nil
	}
	result, err = strconv.ParseInt(string(word), 0, 64)
	if err != nil {
		if _, err := strconv.ParseUint(string(word), 0, 64); err == nil {
			return 0, false, nil // an address
		}
		return 0, false, fmt.Errorf("its result is not a number: %.80q", text)
	}
	return result, result < 0, nil
}

// parseString returns a string in which strace has written each byte as \x and two digits. A string that strace has
// truncated is an error.
func parseString(arg string) ([]byte, error) {
	if len(arg) < 2 || arg[0] != '"' || arg[len(arg)-1] != '"' || (len(arg)-2)%4 != 0 {
		return nil, fmt.Errorf("it is not a whole string in hexadecimal: %.40s", arg)
	}
	digits := arg[1 : len(arg)-1]
	out := make([]byte, len(digits)/4)
	for i := range out {
		d := digits[4*i : 4*i+4]
		high, low := nibble[d[2]], nibble[d[3]]
		if d[0] != '\\' || d[1] != 'x' || high < 0 || low < 0 {
			return nil, fmt.Errorf("it is not a string in hexadecimal: %.40s", d)
		}
		out[i] = byte(high)<<4 | byte(low)
	}
	return out, nil
}

var nibble = func() (values [256]int8) {
	for i := range values {
		values[i] = -1
	}
	for i, digit := range "0123456789abcdef" {
		values[digit] = int8(i)
	}
	return values
}()

// parseVector returns the concatenated strings of a list of buffers:
//
//	[{iov_base="\x01", iov_len=1}, {iov_base="\x02", iov_len=1}]
func parseVector(arg string) ([]byte, error) {
	var out []byte
	const key = "iov_base="
	for {
		_, rest, ok := strings.Cut(arg, key)
		if !ok {
			return out, nil
		}
		end := strings.IndexByte(rest, ',')
		if end < 0 {
			return nil, fmt.Errorf("it is not a list of buffers: %.40s", arg)
		}
		part, err := parseString(rest[:end])
		if err != nil {
			return nil, err
		}
		out, arg = append(out, part...), rest[end:]
	}
}
