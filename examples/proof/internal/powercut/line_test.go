package powercut

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// quoted returns a string as strace -xx writes it.
func quoted(s string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&out, `\x%02x`, c)
	}
	return `"` + out.String() + `"`
}

func TestParseLine(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want line
	}{
		"whole":            {"123  fsync(9) = 0", line{pid: 123, name: "fsync", text: []byte("9) = 0")}},
		"five digits":      {"12345 fsync(9) = 0", line{pid: 12345, name: "fsync", text: []byte("9) = 0")}},
		"unfinished":       {"1  fsync(9 <unfinished ...>", line{pid: 1, name: "fsync", text: []byte("9"), open: true}},
		"resumed":          {"1  <... fsync resumed>) = 0", line{pid: 1, name: "fsync", text: []byte(") = 0"), resumed: true}},
		"resumed and open": {"1  <... fsync resumed> <unfinished ...>", line{pid: 1, name: "fsync", text: []byte{}, resumed: true, open: true}},
		"end of a thread":  {"1  +++ exited with 0 +++", line{pid: 1}},
		"signal":           {"1  --- SIGURG {si_signo=SIGURG} ---", line{pid: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseLine([]byte(tt.in))
			if err != nil || got.pid != tt.want.pid || got.name != tt.want.name || !bytes.Equal(got.text, tt.want.text) ||
				got.resumed != tt.want.resumed || got.open != tt.want.open {
				t.Errorf("parseLine() = %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
	for _, in := range []string{"", "fsync(9) = 0", "1", "1  ", "1  fsync", "1  <... fsync", "1  (9) = 0"} {
		if got, err := parseLine([]byte(in)); err == nil {
			t.Errorf("parseLine(%q) = %+v, want an error", in, got)
		}
	}
}

func TestParseArgs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		args []string
		rest string
	}{
		"none":           {") = 5", nil, " = 5"},
		"two":            {`9, "\x2c\x29", 2) = 2`, []string{"9", `"\x2c\x29"`, "2"}, " = 2"},
		"nested":         {`9, [{iov_base="\x41", iov_len=1}, {iov_base="\x42", iov_len=1}], 2) = 2`, []string{"9", `[{iov_base="\x41", iov_len=1}, {iov_base="\x42", iov_len=1}]`, "2"}, " = 2"},
		"without an end": {`9, "\x41", 1`, []string{"9", `"\x41"`, "1"}, ""},
		"truncated":      {`9, "\x41"..., 100) = 100`, []string{"9", `"\x41"...`, "100"}, " = 100"},
		"parentheses":    {"3, makedev(0x1, 0x2)) = 0", []string{"3", "makedev(0x1, 0x2)"}, " = 0"},
		"nothing else":   {"", nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args, rest, err := parseArgs([]byte(tt.in))
			if err != nil || !slices.Equal(args, tt.args) || string(rest) != tt.rest {
				t.Errorf("parseArgs() = %q, %q, %v", args, rest, err)
			}
		})
	}
	if _, _, err := parseArgs([]byte(`9, "\x41`)); err == nil {
		t.Error("parseArgs() = nil for a string without an end")
	}
}

func TestParseResult(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in     string
		result int64
		failed bool
	}{
		"number":      {"                      = 4096", 4096, false},
		"error":       {" = -1 ENOENT (No such file or directory)", -1, true},
		"interrupted": {" = ? ERESTARTSYS (To be restarted if SA_RESTART is set)", 0, true},
		"flags":       {" = 0x8000 (flags O_RDONLY|O_LARGEFILE)", 0x8000, false},
		"address":     {" = 0xffffffffff600000", 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, failed, err := parseResult([]byte(tt.in))
			if result != tt.result || failed != tt.failed || err != nil {
				t.Errorf("parseResult() = %d, %v, %v", result, failed, err)
			}
		})
	}
	for _, in := range []string{"", " = ", " = many"} {
		if _, _, err := parseResult([]byte(in)); err == nil {
			t.Errorf("parseResult(%q) = nil, want an error", in)
		}
	}
}

func TestParseString(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"", "a", "\x00\xff\"\\)", strings.Repeat("abc", 1000)} {
		if got, err := parseString(quoted(want)); err != nil || string(got) != want {
			t.Errorf("parseString(%.40q) = %.40q, %v", quoted(want), got, err)
		}
	}
	for _, in := range []string{"", `"`, `"\x4"`, `"\x4g"`, `"abcd"`, `"\X41"`, quoted("cut short") + "...", "0x7f00"} {
		if got, err := parseString(in); err == nil {
			t.Errorf("parseString(%q) = %q, want an error", in, got)
		}
	}
}

func TestParseVector(t *testing.T) {
	t.Parallel()
	in := "[{iov_base=" + quoted("one, ") + ", iov_len=5}, {iov_base=" + quoted("two") + ", iov_len=3}]"
	if got, err := parseVector(in); err != nil || string(got) != "one, two" {
		t.Errorf("parseVector() = %q, %v", got, err)
	}
	for _, in := range []string{"[{iov_base=" + quoted("a"), "[{iov_base=" + quoted("a") + "..., iov_len=9}]"} {
		if got, err := parseVector(in); err == nil {
			t.Errorf("parseVector(%q) = %q, want an error", in, got)
		}
	}
}
