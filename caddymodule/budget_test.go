package caddymodule

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/verifier"
)

// contractParts are the parts of the budget that Caddy runs with.
var contractParts = unverified.left()

// The contract's numbers.
func TestBudgetAddsUp(t *testing.T) {
	t.Parallel()
	total := int64(0)
	for _, n := range contractParts {
		total += n
	}
	if total != 256<<20 || contractParts[smallPart] != 64<<20 || maxMaxBody != 32<<20 || smallBody != 64<<10 {
		t.Errorf("%d bytes in all, parts %v", total, contractParts)
	}
}

// A modelBody asks a budget for what a body asks that is being read.
type modelBody struct {
	want     int64 // its size
	max      int64 // max_body
	declared bool
	next     int64
	allowance
}

func newModelBody(b *budget, want, most int64, declared bool) *modelBody {
	m := &modelBody{want: want, max: most, declared: declared, allowance: allowance{budget: b}}
	m.next = min(m.whole(), firstRead)
	return m
}

func (m *modelBody) whole() int64 {
	if m.declared {
		return m.want
	}
	return m.max
}

// step asks for the next buffer, and reports whether it is the last.
func (m *modelBody) step(t *testing.T, until time.Time) (last bool, err error) {
	got, err := m.grow(t.Context(), until, roomRequest{
		size: m.next, whole: m.whole(), small: m.next <= smallBody && (!m.declared || m.want <= smallBody),
	})
	m.next = min(2*got, m.whole())
	return got >= m.want, err
}

// steps returns how often a body asks.
func (m *modelBody) steps() (n int) {
	for size := m.next; ; size = min(2*size, m.whole()) {
		n++
		if size >= m.want {
			return n
		}
	}
}

// Bodies that arrive, however many, how large and in which order, hold no more
// than the budget, and all find room in the end: none waits for one that waits
// for it.
func TestBodiesNeverWaitForEachOther(t *testing.T) {
	const bodies, rounds = 500, 20
	for round := range rounds {
		synctest.Test(t, func(t *testing.T) {
			b := newBudget(contractParts)
			start := b.left()
			rng := rand.New(rand.NewPCG(uint64(round), 1))
			var mu sync.Mutex
			held, most := int64(0), int64(0)
			hold := func(n int64) {
				mu.Lock()
				defer mu.Unlock()
				held += n
				most = max(most, held)
			}
			var work sync.WaitGroup
			waits := time.Now().Add(time.Hour)
			for i := range bodies {
				size := int64(1) << rng.IntN(26)
				size += rng.Int64N(size)
				size = min(size, maxMaxBody)
				m := newModelBody(b, size, maxMaxBody, rng.IntN(2) == 0)
				pauses := make([]time.Duration, m.steps())
				for i := range pauses {
					pauses[i] = time.Duration(rng.IntN(3)) * time.Millisecond
				}
				work.Go(func() {
					defer func() {
						hold(-m.held.size)
						m.release()
					}()
					for _, pause := range pauses {
						time.Sleep(pause)
						before := m.held.size
						last, err := m.step(t, waits)
						if err != nil {
							if !m.declared && before == smallBody && time.Now().Before(waits) {
								return // too many that outgrew the small part wait already
							}
							t.Errorf("body %d of %d bytes found no room", i, m.want)
							return
						}
						hold(m.held.size)
						time.Sleep(pause)
						hold(-before)
						m.settle()
						if last {
							return
						}
					}
				})
			}
			work.Wait()
			if most > unverifiedBudget || most < unverifiedBudget/2 {
				t.Errorf("%d bytes were held at once, want at most %d, and half of it or the test tests nothing", most, unverifiedBudget)
			}
			if b.left() != start || len(b.waiting) > 0 {
				t.Errorf("%v is left of %v, and %d wait", b.left(), start, len(b.waiting))
			}
		})
	}
}

// Whatever large bodies hold and wait for, small ones have their part to
// themselves to the last byte.
func TestSmallBodiesNeverWaitForLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(contractParts)
		end := time.Now().Add(time.Hour)
		var work sync.WaitGroup
		defer work.Wait()
		done := make(chan struct{}) // the large bodies end
		defer close(done)
		for i := range 3000 {
			m := newModelBody(b, maxMaxBody, maxMaxBody, i%3 == 0)
			work.Go(func() {
				defer m.release()
				for {
					last, err := m.step(t, end)
					if err != nil {
						return // it is rejected
					}
					if last {
						<-done
						return
					}
					m.settle()
				}
			})
			synctest.Wait() // it has all that it needs, waits, or was rejected
		}
		left := b.left()
		if left[commonPart] >= smallBody || left[wholePart] > 0 || left[outgrownPart] > 0 || left[smallPart] != 64<<20 {
			t.Errorf("%v is left, want nothing but what is for small bodies", left)
		}
		before := time.Now()
		receive := func(n int, size int64) {
			for i := range n {
				m := newModelBody(b, size, maxMaxBody, i%2 == 0)
				for last := false; !last; m.settle() {
					var err error
					if last, err = m.step(t, end); err != nil || !time.Now().Equal(before) {
						t.Fatalf("small body %d of %d waited for %s, %v", i, size, time.Since(before), err)
					}
				}
			}
		}
		receive(1000, smallBody)
		receive((64<<20-1000*smallBody)/firstRead, firstRead)
		if left := b.left(); left[smallPart] != 0 {
			t.Errorf("%v is left", left)
		}
	})
}

// Two bodies of the largest max_body find room at once, however far each has
// come and even while both are copied.
func TestTwoLargestBodiesNeverWait(t *testing.T) {
	t.Parallel()
	for _, declared := range []bool{true, false} {
		steps := newModelBody(unverified, maxMaxBody, maxMaxBody, declared).steps()
		for i := range steps {
			for j := range steps {
				b := newBudget(contractParts)
				for _, n := range []int{i, j} {
					m := newModelBody(b, maxMaxBody, maxMaxBody, declared)
					for step := range n + 1 {
						m.settle()
						if _, err := m.step(t, time.Time{}); err != nil {
							t.Fatalf("declared %t: no room for step %d of bodies that come to %d and %d", declared, step, i, j)
						}
					}
				}
			}
		}
	}
}

// Strangers fill the budget for bodies that are not proved genuine, and hold no
// more. The next request waits, and is answered 503 with Retry-After.
func TestBudgetIsFull(t *testing.T) {
	shorten(t, &storeTimeout, 300*time.Millisecond)
	full := [parts]int64{smallPart: firstRead, commonPart: 3 * firstRead}
	small := shrink(t, full)
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", bothProviders)

	// Each declares 5 MiB, sends a byte, and holds what a first read may take.
	holders := make([]*wire, 4)
	for i := range holders {
		holders[i] = s.dial()
		length := 5 << 20
		if i == 0 {
			length = firstRead // counts as small
		}
		holders[i].write(head("/soapnote", length, soapnoteFields("forged")...) + "{")
	}
	eventually(t, "the budget to be held", func() bool { return small.left() == [parts]int64{} })

	before := rejections("soapnoteapi", verifier.Unavailable)
	start := time.Now()
	got := do(t, s.soapnote("/soapnote", note("refused")))
	expect(t, got, http.StatusServiceUnavailable, saysUnavailable, verifier.Unavailable, before)
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if waited := time.Since(start); waited < storeTimeout {
		t.Errorf("refused after %s, want the whole wait of %s", waited, storeTimeout)
	}

	// Room that is made while a request waits lets it through.
	storeTimeout = commandtest.WaitTimeout
	done := make(chan reply, 1)
	go func() { done <- do(t, s.soapnote("/soapnote", note("waits"))) }()
	eventually(t, "a request to wait", func() bool { return small.waiters() > 0 })
	_ = holders[1].conn.Close()
	if got := <-done; got.status != http.StatusOK {
		t.Errorf("a request for which room was made: answer %d %s", got.status, got.body)
	}
	for _, w := range holders {
		_ = w.conn.Close()
	}
	eventually(t, "the budget to be free", func() bool { return small.left() == full })
}

// Whatever becomes of a request, it gives back what it held.
func TestBudgetIsGivenBack(t *testing.T) {
	shorten(t, &bodyTimeout, 200*time.Millisecond)
	full := [parts]int64{smallPart: 128 << 10, commonPart: 1 << 20}
	small := shrink(t, full)
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", bothProviders)
	body := note("give back")
	large := padded(note("large"), 300<<10)
	for _, test := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"stored", func(t *testing.T) { do(t, s.soapnote("/soapnote", body)) }},
		{"large and stored", func(t *testing.T) { do(t, s.soapnote("/soapnote", large)) }},
		{"large, in chunks and stored", func(t *testing.T) {
			r := s.soapnote("/soapnote", padded(note("chunks"), 300<<10))
			chunked(r)
			if got := do(t, r); got.status != http.StatusOK {
				t.Errorf("answer %d %s", got.status, got.body)
			}
		}},
		{"invalid payload", func(t *testing.T) { do(t, s.soapnote("/soapnote", "[]")) }},
		{"wrong signature", func(t *testing.T) {
			r := s.soapnote("/soapnote", large)
			r.Header.Set(verifier.SignatureHeader, strings.Repeat("0", 64))
			do(t, r)
		}},
		{"too large", func(t *testing.T) {
			r := s.soniox("/soniox", large)
			chunked(r)
			do(t, r)
		}},
		{"timeout", func(t *testing.T) {
			w := s.dial()
			w.write(head("/soapnote", 300<<10, soapnoteFields(body)...) + strings.Repeat("x", 100<<10))
			w.answer()
		}},
		{"client gone", func(t *testing.T) {
			w := s.dial()
			w.write(head("/soapnote", 300<<10, soapnoteFields(body)...) + strings.Repeat("x", 100<<10))
			eventually(t, "a body to hold some of the budget", func() bool { return small.left() != full })
			_ = w.conn.SetLinger(0)
			_ = w.conn.Close()
		}},
		{"no room in time", func(t *testing.T) {
			load := func() { s.load(oneUpstream+b.URL+"\n\t}", bothProviders) } // with the limits that there are
			t.Cleanup(load)
			shorten(t, &storeTimeout, 50*time.Millisecond)
			load()
			r := s.soapnote("/soapnote", padded(note("too much"), 900<<10))
			if got := do(t, r); got.status != http.StatusServiceUnavailable {
				t.Errorf("answer %d %s", got.status, got.body)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t)
			eventually(t, "the budget to be free", func() bool { return small.left() == full })
		})
	}
}

// Bodies that grow at the same time and want more together than there is are
// all taken, one after the other.
func TestBudgetDoesNotDeadlock(t *testing.T) {
	full := [parts]int64{smallPart: 128 << 10, commonPart: 128 << 10, wholePart: 128 << 10, outgrownPart: 16 * smallBody}
	small := shrink(t, full)
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", strings.Replace(bothProviders, "deliver_to ehr", "max_body 120KiB\n\t\tdeliver_to ehr", 1))

	// The bodies have come so far that together they hold all that is shared,
	// and each needs as much again.
	const bodies, part = 16, firstRead
	wires, contents := make([]*wire, bodies), make([]string, bodies)
	for i := range wires {
		contents[i] = padded(note(fmt.Sprintf("grows-%d", i)), 100<<10)
		wires[i] = s.dial()
		length := len(contents[i])
		fields := soapnoteFields(contents[i])
		if i%2 == 1 {
			length, fields = -1, append(fields, "Transfer-Encoding: chunked")
		}
		wires[i].write(head("/soapnote", length, fields...))
	}
	send := func(i int, s string) {
		if i%2 == 1 {
			s = chunk(s)
		}
		wires[i].write(s)
	}
	for i := range wires {
		send(i, contents[i][:part-1])
	}
	eventually(t, "all that is shared to be held", func() bool {
		left := small.left()
		return left[smallPart] == 0 && left[commonPart] == 0
	})
	for i := range wires {
		send(i, contents[i][part-1:])
		if i%2 == 1 {
			wires[i].write("0\r\n\r\n")
		}
	}
	for i, w := range wires {
		if _, got := w.answer(); got.status != http.StatusOK {
			t.Errorf("body %d: answer %d %s", i, got.status, got.body)
		}
	}
	eventually(t, "the budget to be free", func() bool { return small.left() == full })
}

// The attack, whole: forty connections each send 4 MiB of a declared 10
// MiB, or in chunks, with a fresh timestamp and 64 hexadecimal digits. Genuine
// notes are stored all the same, while the strangers still hold all that they
// have.
func TestStrangersDoNotDelayNotes(t *testing.T) {
	shorten(t, &bodyTimeout, 4*commandtest.WaitTimeout)
	shorten(t, &storeTimeout, 4*commandtest.WaitTimeout)
	fresh := shrink(t, contractParts)
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", bothProviders)
	part := strings.Repeat("x", 4<<20)
	for i := range 80 {
		w := s.dial()
		if i%2 == 0 {
			go w.write(head("/soapnote", 10<<20, soapnoteFields("forged")...) + part)
		} else {
			go w.write(head("/soapnote", -1, append(soapnoteFields("forged"), "Transfer-Encoding: chunked")...) + chunk(part))
		}
		t.Cleanup(func() { _ = w.conn.Close() })
	}
	eventually(t, "strangers to wait for room", func() bool { return fresh.waiters() >= 10 })
	for i, body := range []string{note("small"), padded(note("64 KiB"), smallBody), note("in chunks"), padded(note("64 KiB in chunks"), smallBody)} {
		r := s.soapnote("/soapnote", body)
		if i >= 2 {
			chunked(r)
		}
		ctx, cancel := context.WithTimeout(t.Context(), commandtest.WaitTimeout)
		if got := do(t, r.WithContext(ctx)); got.status != http.StatusOK {
			t.Errorf("note %d: answer %d %s", i, got.status, got.body)
		}
		cancel()
	}
	if n := fresh.waiters(); n < 10 {
		t.Errorf("%d strangers still wait, want 10 or more: the notes waited for the others", n)
	}
}

// Two genuine bodies of the largest max_body arrive side by side and are both
// stored.
func TestTwoLargestBodiesAtOnce(t *testing.T) {
	fresh := shrink(t, contractParts)
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", strings.Replace(bothProviders, "deliver_to ehr", "max_body 32MiB\n\t\tdeliver_to ehr", 1))
	const half = maxMaxBody/2 + 1
	bodies := []string{padded(note("one"), maxMaxBody), padded(note("two"), maxMaxBody)}
	wires := make([]*wire, len(bodies))
	for i, body := range bodies {
		wires[i] = s.dial()
		wires[i].write(soapnoteRequest(body)[:len(soapnoteRequest(body))-half+2])
	}
	eventually(t, "both to hold their last buffer", func() bool { return contractParts[commonPart]-fresh.left()[commonPart] == 2*maxMaxBody })
	for i, body := range bodies {
		wires[i].write(body[len(body)-half+2:])
	}
	for i := range bodies {
		if _, got := wires[i].answer(); got.status != http.StatusOK {
			t.Errorf("body %d: answer %d %s", i, got.status, got.body)
		}
	}
}

// A body of any size up to the limit is read whole, and in no more room than
// its size where that is declared.
func TestBodyOfAnySize(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, firstRead - 1, firstRead, firstRead + 1, smallBody, smallBody + 1, 1 << 20, maxMaxBody - 1, maxMaxBody} {
		for _, declared := range []bool{true, false} {
			content := strings.Repeat("x", size)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			if !declared {
				chunked(r)
			}
			body := newIncoming(r, unverified)
			got, err := body.readAll(time.Now().Add(storeTimeout), maxMaxBody)
			if err != nil || string(got) != content || declared && cap(got) != size {
				t.Errorf("%d bytes, declared %t: read %d in a buffer of %d, %v", size, declared, len(got), cap(got), err)
			}
			body.allowance.release()
		}
	}
}
