package main

import (
	"regexp"
	"strings"
	"testing"
)

// varying are the patterns of texts that differ between runs, and their replacements, in
// the order in which they are applied.
var varying = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`soapnoteapi-[0-9a-f]{32}\b`), "<id>"},
	{regexp.MustCompile(`\boncall-note-\d+\b`), "<subject>"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "<signature>"},
	{regexp.MustCompile(`"(ts|next_attempt)":[0-9.]+`), `"$1":<time>`},
	{regexp.MustCompile(`"duration":[0-9.e-]+`), `"duration":<seconds>`},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)`), "<time>"},
	{regexp.MustCompile(`--timestamp \d+`), "--timestamp <time>"},
	{regexp.MustCompile(`<time> +\d+\.\d{3}\b`), "<time> <seconds>"},
	{regexp.MustCompile(`\b\d+(\.\d+)? [KMGT]?i?B\b`), "<size>"},
	{regexp.MustCompile(`(^|[ (])(\d+(\.\d+)?(d|h|ms|m|s))+\b`), "$1<age>"},
	{regexp.MustCompile(`[ \t]+`), " "},
}

// normal returns a block's text without the parts that differ between runs: times, ids,
// sizes, and the widths of columns.
func normal(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		for _, v := range varying {
			line = v.pattern.ReplaceAllString(line, v.word)
		}
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

func TestNormal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"a table": {
			"UPSTREAM  PENDING  OLDEST  LAST SUCCESS\nehr            3     12s      1m6s ago\n\nqueue sqlite: 3.2 KiB of 10 GiB, 0 quarantined\n",
			"UPSTREAM PENDING OLDEST LAST SUCCESS\nehr 3 <age> <age> ago\n\nqueue sqlite: <size> of <size>, 0 quarantined",
		},
		"a line of the log": {
			`{"level":"warn","ts":1795397317.52,"msg":"an upstream is paused","error":"dial tcp 127.0.0.1:9000: connect: connection refused"}`,
			`{"level":"warn","ts":<time>,"msg":"an upstream is paused","error":"dial tcp 127.0.0.1:9000: connect: connection refused"}`,
		},
		"a line of a failed attempt": {
			`{"ts":1795397317,"attempt":1,"duration":4.2e-05,"status":500,"next_attempt":1795397344.25}`,
			`{"ts":<time>,"attempt":1,"duration":<seconds>,"status":500,"next_attempt":<time>}`,
		},
		"an attempt": {
			"      1  2026-11-23 01:28:39Z    0.001  failure     500  the backend failed",
			"1 <time> <seconds> failure 500 the backend failed",
		},
		"an event": {
			"2026-11-23 01:28:40+01:00  soapnoteapi-d63e058c58deb392e2009ecefb39bdff  oncall-note-27  note.generated  ehr  dead  4  -",
			"<time> <id> <subject> note.generated ehr dead 4 -",
		},
		"a delivery": {
			"ehr: pending after 1 attempt, next attempt in 27s",
			"ehr: pending after 1 attempt, next attempt in <age>",
		},
		"a captured request": {
			"--signature e9434a3fc17a86e161fd9d378b66bd50dcfb51e7a030dc6b2b1b858884d6c6e2 --timestamp 1795397317 --file body.json",
			"--signature <signature> --timestamp <time> --file body.json",
		},
		"a command's duration": {"$ caddy scribegate replay --since 1h", "$ caddy scribegate replay --since <age>"},
		"the table at the end": {"a deploy answers 400   0.0s  13.2s      -  30.0s  Alert", "a deploy answers 400 <age> <age> - <age> Alert"},
		"counts stay":          {`scribegate_secret_matched_total{index="0"} 4`, `scribegate_secret_matched_total{index="0"} 4`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := normal(tt.text); got != tt.want {
				t.Errorf("normal() =\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
