package document

import (
	"regexp"
	"strings"
)

// varying are the patterns of texts that differ between runs, and their replacements, in
// the order in which they are applied.
var varying = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`soapnoteapi-[0-9a-f]{32}\b`), "<id>"},
	{regexp.MustCompile(`\b(?:oncall|sample)-note-\d+\b`), "<subject>"},
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

// Normal returns a block's text without the parts that differ between runs: times, ids,
// sizes, and the widths of columns.
func Normal(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		for _, v := range varying {
			line = v.pattern.ReplaceAllString(line, v.word)
		}
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}
