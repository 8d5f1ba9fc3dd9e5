package chain

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A testLog is a log of the audit trail in JSON.
type testLog struct {
	mu   sync.Mutex
	text bytes.Buffer
	fail bool
	gate chan struct{} // blocks writing until it is closed; nil does not
}

func (l *testLog) write(at time.Time, message string, fields []zap.Field) bool {
	l.mu.Lock()
	gate := l.gate
	l.mu.Unlock()
	if gate != nil {
		<-gate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail {
		return false
	}
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&l.text), zapcore.InfoLevel)
	return core.Write(zapcore.Entry{Level: zapcore.InfoLevel, Time: at, LoggerName: LoggerName, Message: message}, fields) == nil
}

func (l *testLog) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(strings.Lines(l.text.String()))
}

var testKey = seal.Key{1}

// newTestChain returns a chain of a store with one node.
func newTestChain(key seal.Key) *Chain {
	c := New("v1", func() seal.AuditKey { return key.Audit() })
	c.Continue(queue.AuditHead{Node: "gw"})
	return c
}

// event appends a line like those of the gateway.
func event(c *Chain, l *testLog, n int) {
	c.Append(time.Now(), "delivered", []zap.Field{
		zap.String("event_id", fmt.Sprint("soniox-", n)), zap.Skip(), zap.String("by", "inv\xffalid \"<&>\u2028"), zap.Int("attempt", n), zap.Bool("force", n%2 == 0),
		zap.Duration("duration", 1234567*time.Nanosecond), zap.Strings("event_ids", []string{"a", "b<"}), zap.Int64("bytes", 1<<40), zap.Time("until", time.Unix(1, 5)),
	}, l.write)
}

func checkBy(keys ...seal.Key) Checker {
	audit := make([]seal.AuditKey, len(keys))
	for i, k := range keys {
		audit[i] = k.Audit()
	}
	return func(proofs []Proof) ([]Verdict, error) {
		all := make([]Verdict, len(proofs))
		for i, p := range proofs {
			all[i] = Check(p, audit)
		}
		return all, nil
	}
}

// verify verifies logs, one file each.
func verify(t testing.TB, heads []queue.AuditHead, o Options, keys []seal.Key, logs ...string) Report {
	t.Helper()
	trail := NewTrail(checkBy(keys...), nil)
	for i, text := range logs {
		if err := trail.Read(fmt.Sprint("file", i), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return trail.Report(heads, o)
}

// kinds returns the kinds of the findings, with the numbers of the lines.
func kinds(r Report) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, fmt.Sprintf("%s %d-%d", f.Kind, f.Seq, f.Through))
	}
	return strings.Join(all, ", ")
}

func noteKinds(r Report) string {
	var all []string
	for _, n := range r.Notes {
		all = append(all, fmt.Sprint(n.Kind, " ", n.Seq))
	}
	return strings.Join(all, ", ")
}

func wholeIf(t *testing.T, r Report, findings, notes string) {
	t.Helper()
	if got := kinds(r); got != findings || r.Whole != (findings == "") {
		t.Errorf("whole: %t; findings %q, want %q; %+v", r.Whole, got, findings, r.Findings)
	}
	if got := noteKinds(r); got != notes {
		t.Errorf("notes %q, want %q", got, notes)
	}
}

// What is done to a whole trail is found, and nothing else is.
func TestManipulations(t *testing.T) {
	t.Parallel()
	c, l := newTestChain(testKey), &testLog{}
	for i := range 8 {
		event(c, l, i+2)
	}
	lines := l.lines()
	forged := func(line string) string {
		other, log := newTestChain(seal.Key{2}), &testLog{}
		parsed, err := ParseLine([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		other.node, other.seq, other.newest, other.begun = "gw", parsed.Seq, parsed.Link, true
		event(other, log, 100)
		return log.text.String()
	}
	replace := func(i int, before, after string) func([]string) []string {
		return func(l []string) []string {
			if !strings.Contains(l[i], before) {
				t.Errorf("line %d has no %s: %s", i, before, l[i])
			}
			l[i] = strings.Replace(l[i], before, after, 1)
			return l
		}
	}
	parsed := func(i int) Line {
		l, err := ParseLine([]byte(lines[i]))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	last := lines[8][strings.Index(lines[8], `"chain":"`)+len(`"chain":"`):]
	tests := []struct {
		name     string
		change   func([]string) []string
		findings string
		notes    string
	}{
		{"nothing", func(l []string) []string { return l }, "", ""},
		{"a text", replace(4, `soniox-5`, `soniox-6`), "changed 5-5", ""},
		{"a number", replace(4, `"attempt":5`, `"attempt":6`), "changed 5-5", ""},
		{"a boolean", replace(4, `"force":false`, `"force":true`), "changed 5-5", ""},
		{"a list", replace(4, `["a",`, `["c",`), "changed 5-5", ""},
		{"the message", replace(4, `"msg":"delivered"`, `"msg":"dead"`), "changed 5-5", ""},
		{"the level", replace(4, `"level":"info"`, `"level":"debug"`), "changed 5-5", ""},
		{"the log's time", replace(4, `"ts":`, `"ts":1`), "changed 5-5", ""},
		{"the log's time as text", replace(4, `"ts":`, `"ts":"yesterday","t":`), "changed 5-5", ""},
		{"the time", replace(4, parsed(4).Link.begin()[26:40], "00000000000001"), "changed 5-5", ""},
		{"the node", replace(4, `"node":"gw"`, `"node":"gx"`), "missing 5-5, changed 5-5", ""},
		{"the logger", replace(4, `scribegate.audit`, `scribegate.aud`), "missing 5-5", ""},
		{"the number of the line", replace(4, `"seq":5`, `"seq":50`), "missing 5-5, changed 50-50", "order 6"},
		{"the chain's key", replace(4, testKey.Audit().ID(), "12345678"), "unknown_key 5-5", ""},
		{"the chain's end", replace(8, last[:73], last[:72]+string("01"[b2i(last[72] == '0')])), "changed 9-9", ""},
		{"a field more", replace(4, `"node"`, `"user":"mallory","node"`), "changed 5-5", ""},
		{"an unknown field more", replace(4, `"node"`, `"x":1,"node"`), "changed 5-5", ""},
		{"a field twice", replace(4, `"node"`, `"node":"gw","node"`), "malformed 0-0, missing 5-5", ""},
		{"a field less", replace(4, `"attempt":5,`, ``), "changed 5-5", ""},
		{"no chain", replace(4, `,"chain"`, `,"chained"`), "malformed 0-0, missing 5-5", ""},
		{"not JSON", replace(4, `{`, `[`), "malformed 0-0, missing 5-5", ""},
		{"the first dropped", func(l []string) []string { return l[1:] }, "missing 1-1", ""},
		{"one dropped", func(l []string) []string { return append(l[:3:3], l[4:]...) }, "missing 4-4", ""},
		{"several dropped", func(l []string) []string { return append(l[:3:3], l[6:]...) }, "missing 4-6", ""},
		{"the last dropped", func(l []string) []string { return l[:8] }, "cut_off 9-9", ""},
		{"the end dropped", func(l []string) []string { return l[:4] }, "cut_off 5-9", ""},
		{"all dropped", func([]string) []string { return nil }, "cut_off 1-9", ""},
		{"a line twice", func(l []string) []string { return append(l, l[3]) }, "added 4-4", "order 4"},
		{"a forged line", func(l []string) []string { return append(l, forged(l[8])) }, "unknown_key 10-10", ""},
		{"a forged line in the place of another", func(l []string) []string { l[4] = forged(l[3]); return l }, "unknown_key 5-5, missing 5-5", ""},
		{"a line without a chain", func(l []string) []string {
			return append(l, `{"level":"info","ts":1,"logger":"scribegate.audit","msg":"dead"}`+"\n")
		}, "malformed 0-0", ""},
		{"lines exchanged", func(l []string) []string { l[3], l[4] = l[4], l[3]; return l }, "", "order 4"},
		{"another log's line", func(l []string) []string { return append(l, `{"level":"info","msg":"hello"}`+"\n") }, "", ""},
		{"text that is not JSON", func(l []string) []string { return append([]string{"2026/11/30 Caddy starts\n"}, l...) }, "", ""},
		{"formatted anew", func(l []string) []string {
			return []string{strings.ReplaceAll(strings.ReplaceAll(strings.Join(l, ""), `":`, `" : `), `0.001234567`, `1.234567e-3`)}
		}, "", ""},
		{"half a line in front", func(l []string) []string { l[4] = l[5][:100] + l[4]; return l }, "", "torn 0"},
		{"half a line at the end", func(l []string) []string { return append(l, l[5][:100]) }, "", "torn 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Join(tt.change(append([]string{}, lines...)), "")
			wholeIf(t, verify(t, []queue.AuditHead{c.Newest()}, Options{}, []seal.Key{testKey}, text), tt.findings, tt.notes)
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Without the heads of the store the end is not known, and a beginning that the log has deleted
// can be accepted.
func TestPartsOfATrail(t *testing.T) {
	t.Parallel()
	c, l := newTestChain(testKey), &testLog{}
	for i := range 8 {
		event(c, l, i+2)
	}
	lines, keys := l.lines(), []seal.Key{testKey}
	heads := []queue.AuditHead{c.Newest()}
	if r := verify(t, nil, Options{}, keys, strings.Join(lines[:5], "")); !r.Whole || r.EndKnown {
		t.Errorf("without the end: %+v", r)
	}
	wholeIf(t, verify(t, heads, Options{WithoutBeginning: true}, keys, strings.Join(lines[3:], "")), "", "")
	wholeIf(t, verify(t, heads, Options{WithoutBeginning: true}, keys, strings.Join(append(lines[3:5:5], lines[6:]...), "")), "missing 6-6", "")
	wholeIf(t, verify(t, heads, Options{}, keys, strings.Join(lines[3:5], ""), strings.Join(lines[5:], ""), strings.Join(lines[:3], "")), "", "")
	wholeIf(t, verify(t, heads, Options{}, keys, strings.Join(lines[3:5], ""), strings.Join(lines[:3], "")), "cut_off 6-9", "")
	wholeIf(t, verify(t, append(heads, queue.AuditHead{Node: "other", Seq: 3, Chain: heads[0].Chain}), Options{}, keys, strings.Join(lines, "")), "cut_off 1-3", "")
	wholeIf(t, verify(t, append(heads, queue.AuditHead{Node: "other", Seq: 3, Chain: heads[0].Chain}), Options{Nodes: []string{"gw"}}, keys, strings.Join(lines, "")), "", "")
	wholeIf(t, verify(t, heads, Options{Nodes: []string{"none"}}, keys, strings.Join(lines, "")), "missing 0-0", "")
	wholeIf(t, verify(t, nil, Options{}, keys, `{"msg":"hello"}`), "missing 0-0", "")
}

// A process that is killed leaves lines that the store does not know. The next one continues
// after the newest that the store knows. Of a process that was stopped nothing is missing.
func TestRestarts(t *testing.T) {
	t.Parallel()
	l, keys := &testLog{}, []seal.Key{testKey}
	c := newTestChain(testKey)
	event(c, l, 1)
	stored := c.Newest()
	event(c, l, 2)
	event(c, l, 3)
	killed := newTestChain(testKey)
	killed.Continue(stored)
	event(killed, l, 4)
	again := newTestChain(testKey) // the store knew no line of the process before
	again.Continue(stored)
	event(again, l, 5)
	again.Append(time.Now(), Stopped, nil, l.write)
	last := newTestChain(testKey)
	last.Continue(again.Newest())
	event(last, l, 6)
	heads := []queue.AuditHead{last.Newest()}
	lines := l.lines()
	wholeIf(t, verify(t, heads, Options{}, keys, strings.Join(lines, "")), "", "not_stopped 3, not_stopped 3")
	wholeIf(t, verify(t, heads, Options{}, keys, strings.Join(append(lines[:2:2], lines[3:]...), "")), "missing 3-3", "not_stopped 3, not_stopped 3")
	wholeIf(t, verify(t, heads, Options{}, keys, strings.Join(append(lines[:3:3], lines[4:]...), "")), "", "not_stopped 3, not_stopped 3") // its tail has no end that anybody knows
	wholeIf(t, verify(t, heads, Options{}, keys, strings.Join(append(lines[:8:8], lines[9:]...), "")), "missing 5-5", "not_stopped 3, not_stopped 3")
	l = &testLog{}
	event(newTestChain(testKey), l, 1) // it was killed before the store knew any of its lines
	c = newTestChain(testKey)
	event(c, l, 2)
	wholeIf(t, verify(t, []queue.AuditHead{c.Newest()}, Options{}, keys, l.text.String()), "", "not_stopped 1")
	if got := heads[0].Seq; got != 7 {
		t.Errorf("the newest line has the number %d", got)
	}
}

// Two processes that use copies of one store at the same time are noticed, but a process that
// another has replaced is not one of them.
func TestParallelProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, long := range []bool{false, true} {
			l, keys := &testLog{}, []seal.Key{testKey}
			c := newTestChain(testKey)
			event(c, l, 1)
			other := newTestChain(testKey)
			other.Continue(c.Newest())
			event(other, l, 2)
			time.Sleep(queue.AuditDelay)
			event(c, l, 3)
			want := ""
			if long {
				time.Sleep(2 * queue.AuditDelay)
				event(c, l, 4)
				want = "forked 3-3"
			}
			wholeIf(t, verify(t, []queue.AuditHead{other.Newest()}, Options{}, keys, l.text.String()), want, "order 3, not_stopped 3")
		}
		l := &testLog{}
		c := newTestChain(testKey)
		event(c, l, 1)
		stored := c.newest
		event(c, l, 2)
		c.seq, c.newest = 2, stored
		event(c, l, 3)
		wholeIf(t, verify(t, nil, Options{}, []seal.Key{testKey}, l.text.String()), "forked 3-3", "order 3")
	})
}

// Lines that could not be written are accounted for, also those of a log that takes none for a
// while, and of a start.
func TestLinesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	c, l := newTestChain(testKey), &testLog{fail: true}
	event(c, l, 1)
	event(c, l, 2)
	l.fail = false
	event(c, l, 3)
	l.fail = true
	event(c, l, 4)
	event(c, l, 5)
	l.fail = false
	c.Drop(3, l.write)
	event(c, l, 6)
	lines := l.lines()
	r := verify(t, []queue.AuditHead{c.Newest()}, Options{}, []seal.Key{testKey}, strings.Join(lines, ""))
	wholeIf(t, r, "", "lines_dropped 4, lines_dropped 11")
	if len(lines) != 5 || c.Newest().Seq != 12 {
		t.Errorf("%d lines, the last %d", len(lines), c.Newest().Seq)
	}
	for i, want := range []string{`"msg":"started"`, `"dropped":2`, `"attempt":3`, `"dropped":5`, `"attempt":6`} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %s, want %s", i, lines[i], want)
		}
	}
	wholeIf(t, verify(t, nil, Options{}, []seal.Key{testKey}, strings.Join(append(lines[:3:3], lines[4:]...), "")), "missing 6-11", "lines_dropped 4")
}

// A line that was counted as not written and then is written after all is no defect.
func TestStuckLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stuck, l := newTestChain(testKey), &testLog{}, &testLog{}
		event(c, stuck, 1)
		stuck.gate = make(chan struct{})
		go event(c, stuck, 2)
		synctest.Wait()
		began := time.Now()
		event(c, l, 3)
		event(c, l, 4)
		if waited := time.Since(began); waited != stuckAfter {
			t.Errorf("waited %s", waited)
		}
		close(stuck.gate)
		synctest.Wait()
		event(c, l, 5)
		r := verify(t, []queue.AuditHead{c.Newest()}, Options{}, []seal.Key{testKey}, stuck.text.String()+l.text.String())
		wholeIf(t, r, "", "lines_dropped 4")
		if r.Nodes[0].Lines != 7 || r.Nodes[0].Last != 7 {
			t.Errorf("%+v", r.Nodes)
		}
	})
}

// Many that write at once make one chain, in order.
func TestChainOfMany(t *testing.T) {
	t.Parallel()
	c, l := newTestChain(testKey), &testLog{}
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for i := range 100 {
				event(c, l, i+2)
			}
		})
	}
	work.Wait()
	wholeIf(t, verify(t, []queue.AuditHead{c.Newest()}, Options{}, []seal.Key{testKey}, l.text.String()), "", "")
}

// The keys of older lines are found by their names, and lines without a store prove nothing.
func TestKeys(t *testing.T) {
	t.Parallel()
	key, other, l := testKey, seal.Key{9}, &testLog{}
	c := New("v1", func() seal.AuditKey { return key.Audit() })
	c.Continue(queue.AuditHead{Node: "gw"})
	event(c, l, 1)
	key = other
	event(c, l, 2)
	wholeIf(t, verify(t, nil, Options{}, []seal.Key{other, testKey}, l.text.String()), "", "")
	wholeIf(t, verify(t, nil, Options{}, []seal.Key{other}, l.text.String()), "unknown_key 1-1, unknown_key 2-2", "")
	l = &testLog{}
	transient := seal.NewTransientAudit()
	c = New("v1", func() seal.AuditKey { return transient })
	event(c, l, 1)
	wholeIf(t, verify(t, nil, Options{}, []seal.Key{other}, l.text.String()), "without_key 1-1, without_key 2-2", "")
}

// A trail that cannot be checked or read is an error, not a finding.
func TestVerificationFails(t *testing.T) {
	t.Parallel()
	c, l := newTestChain(testKey), &testLog{}
	event(c, l, 1)
	failure := errors.New("a failure")
	trail := NewTrail(func([]Proof) ([]Verdict, error) { return nil, failure }, nil)
	if err := trail.Read("file", strings.NewReader(l.text.String())); !errors.Is(err, failure) {
		t.Errorf("%v", err)
	}
	trail = NewTrail(func([]Proof) ([]Verdict, error) { return nil, nil }, nil)
	if err := trail.Read("file", strings.NewReader(l.text.String())); err == nil {
		t.Error("an answer without verdicts is accepted")
	}
	if err := NewTrail(checkBy(), nil).Read("file", io.MultiReader(strings.NewReader("\x1f\x8b"), strings.NewReader("nothing"))); err == nil || !strings.Contains(err.Error(), "file") {
		t.Errorf("a file that is not gzip: %v", err)
	}
}

// FuzzParseLine: what a stranger puts into a log neither makes the parser panic nor passes for a
// line with another content.
func FuzzParseLine(f *testing.F) {
	l := &testLog{}
	for seq := range int64(2) { // always the same lines, in each process of the fuzzer
		at := time.Unix(seq, 0)
		fields, _ := newTestChain(testKey).link(at, "delivered", []zap.Field{zap.String("by", "a"), zap.Int64("attempt", seq)}, "gw", seq+1, [prevSize]byte{})
		l.write(at, "delivered", fields)
	}
	for _, line := range l.lines() {
		f.Add([]byte(line))
	}
	f.Add([]byte(`{"logger":"scribegate.audit","node":"","seq":1,"chain":"","msg":""}`))
	genuine := make(map[Digest]bool)
	for _, line := range l.lines() {
		p, err := ParseLine([]byte(line))
		if err != nil {
			f.Fatal(err)
		}
		genuine[p.Digest] = true
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := ParseLine(text)
		if err != nil {
			return
		}
		if Check(Proof{l.Digest, l.Link}, []seal.AuditKey{testKey.Audit()}) == Right && !genuine[l.Digest] {
			t.Errorf("the line %s passes", text)
		}
		again, err := ParseLine(append(bytes.TrimSpace(text), ' '))
		if err != nil || again.Digest != l.Digest {
			t.Errorf("white space changes the line: %v", err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	key := testKey.Audit()
	c := New("v1", func() seal.AuditKey { return key })
	fields := []zap.Field{
		zap.String("event_id", "soapnoteapi-0123456789abcdef0123456789abcdef"), zap.String("subject", "note-1"), zap.String("provider", "soapnoteapi"),
		zap.String("type", "note.generated"), zap.String("by", "127.0.0.1"),
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Append(time.Now(), "accepted", fields, func(time.Time, string, []zap.Field) bool { return true })
	}
}
