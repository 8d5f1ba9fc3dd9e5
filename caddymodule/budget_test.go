package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

// Strangers fill the budget for bodies that are not proved genuine, and hold no
// more. Who comes then waits, and is told to come again.
func TestBudgetIsFull(t *testing.T) {
	const size, reserve = 5 * firstRead, firstRead
	shorten(t, &storeTimeout, 300*time.Millisecond)
	small := shrink(t, size, reserve)
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", bothProviders)

	// Each declares 5 MiB, sends a byte, and holds what a first read may take.
	holders := make([]*wire, 4)
	for i := range holders {
		holders[i] = s.dial()
		holders[i].write(head("/soapnote", 5<<20, soapnoteFields("forged")...) + "{")
	}
	eventually(t, "the budget to be held", func() bool {
		free := small.shared.TryAcquire(1)
		if free {
			small.shared.Release(1)
		}
		return !free
	})

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
	if got := do(t, s.soniox("/soniox", "")); got.status != http.StatusServiceUnavailable {
		t.Errorf("an empty body takes a byte to be read: answer %d", got.status)
	}

	// Room that is made while a request waits lets it through.
	done := make(chan reply, 1)
	go func() { done <- do(t, s.soapnote("/soapnote", note("waits"))) }()
	_ = holders[0].conn.Close()
	if got := <-done; got.status != http.StatusOK {
		t.Errorf("a request for which room was made: answer %d %s", got.status, got.body)
	}
	for _, w := range holders[1:] {
		_ = w.conn.Close()
	}
	small.allFree(t, size-reserve)
}

// Whatever becomes of a request, it gives back what it held.
func TestBudgetIsGivenBack(t *testing.T) {
	const size, reserve = 1 << 20, 64 << 10
	shorten(t, &bodyTimeout, 200*time.Millisecond)
	small := shrink(t, size, reserve)
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
			small.partHeld(t, size-reserve)
			_ = w.conn.SetLinger(0)
			_ = w.conn.Close()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t)
			small.allFree(t, size-reserve)
		})
	}
}

// Bodies that grow at the same time and want more together than there is are
// all taken, one after the other: none waits for one that waits for it.
func TestBudgetDoesNotDeadlock(t *testing.T) {
	const size, reserve = 384 << 10, 128 << 10
	small := shrink(t, size, reserve)
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
		free := small.shared.TryAcquire(1)
		if free {
			small.shared.Release(1)
		}
		return !free
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
	small.allFree(t, size-reserve)
}

// A body that has the reserve and stops coming does not keep others from what
// is given back to the shared part.
func TestReserveIsNotTheOnlyWay(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	b := newBudget(110, 10)
	holder, slow, third := &allowance{budget: b}, &allowance{budget: b}, &allowance{budget: b}
	for a, n := range map[*allowance]int64{holder: 80, slow: 10, third: 10} {
		if got, err := a.take(ctx, n, 100); err != nil || got != n {
			t.Fatalf("take = %d, %v", got, err)
		}
	}
	if got, err := slow.take(ctx, 5, 10); err != nil || got != 10 || !slow.reserve {
		t.Fatalf("take = %d, %v, want the reserve", got, err)
	}
	got := make(chan int64)
	go func() {
		n, err := third.take(ctx, 5, 10)
		if err != nil {
			n = -1
		}
		got <- n
	}()
	holder.release()
	if n := <-got; n != 5 {
		t.Errorf("take = %d, want 5 of the shared part", n)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if n, err := third.take(ended, 90, 10); err == nil {
		t.Errorf("take = %d while others hold it, want an error at the end of the wait", n)
	}
	slow.release()
	third.release()
	b.allFree(t, 100)
}

// The largest body that can be configured finds room in the budget alone.
func TestLargestBodyFits(t *testing.T) {
	// The same arithmetic, a thousandth of the size.
	const size, reserve = unverifiedBudget >> 10, unverifiedReserve >> 10
	small := shrink(t, size, reserve)
	for _, size := range []int64{maxMaxBody >> 10, maxMaxBody>>10 - 1, firstRead, firstRead - 1, firstRead + 1, 1, 0} {
		for _, length := range []int64{size, -1} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(strings.Repeat("x", int(size))))
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = length
			if r.Body == nil || r.Body == http.NoBody {
				r.Body = http.NoBody
			}
			body, release, err := readBody(r, size)
			if err != nil || int64(len(body)) != size {
				t.Errorf("%d bytes, declared as %d: read %d, %v", size, length, len(body), err)
			}
			release()
		}
	}
	small.allFree(t, size-reserve)
}
