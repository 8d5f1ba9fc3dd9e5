package document

import "testing"

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
			if got := Normal(tt.text); got != tt.want {
				t.Errorf("Normal() =\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
