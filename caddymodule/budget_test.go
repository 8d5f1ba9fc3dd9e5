package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/verifier"
)

// Strangers fill the budget for bodies that are not proved genuine, and hold no
// more. The next request waits, and is answered 503 with Retry-After.
func TestBudgetIsFull(t *testing.T) {
	shorten(t, &storeTimeout, 300*time.Millisecond)
	full := [receive.Parts]int64{receive.SmallPart: receive.FirstRead, receive.CommonPart: 3 * receive.FirstRead}
	small := shrink(t, full)
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", bothProviders)

	// Each declares 5 MiB, sends a byte, and holds what a first read may take.
	holders := make([]*wire, 4)
	for i := range holders {
		holders[i] = s.dial()
		length := 5 << 20
		if i == 0 {
			length = receive.FirstRead // counts as small
		}
		holders[i].write(head("/soapnote", length, soapnoteFields("forged")...) + "{")
	}
	eventually(t, "the budget to be held", func() bool { return small.Free() == [receive.Parts]int64{} })

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
	eventually(t, "a request to wait", func() bool { return small.Waiting() > 0 })
	_ = holders[1].conn.Close()
	if got := <-done; got.status != http.StatusOK {
		t.Errorf("a request for which room was made: answer %d %s", got.status, got.body)
	}
	for _, w := range holders {
		_ = w.conn.Close()
	}
	eventually(t, "the budget to be free", func() bool { return small.Free() == full })
}

// Whatever becomes of a request, it gives back what it held.
func TestBudgetIsGivenBack(t *testing.T) {
	shorten(t, &bodyTimeout, 200*time.Millisecond)
	full := [receive.Parts]int64{receive.SmallPart: 128 << 10, receive.CommonPart: 1 << 20}
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
			eventually(t, "a body to hold some of the budget", func() bool { return small.Free() != full })
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
			eventually(t, "the budget to be free", func() bool { return small.Free() == full })
		})
	}
}

// Bodies that grow at the same time and want more together than there is are
// all taken, one after the other.
func TestBudgetDoesNotDeadlock(t *testing.T) {
	full := [receive.Parts]int64{receive.SmallPart: 128 << 10, receive.CommonPart: 128 << 10, receive.WholePart: 128 << 10, receive.OutgrownPart: 16 * receive.SmallBody}
	small := shrink(t, full)
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", strings.Replace(bothProviders, "deliver_to ehr", "max_body 120KiB\n\t\tdeliver_to ehr", 1))

	// The bodies have come so far that together they hold all that is shared,
	// and each needs as much again.
	const bodies, part = 16, receive.FirstRead
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
		left := small.Free()
		return left[receive.SmallPart] == 0 && left[receive.CommonPart] == 0
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
	eventually(t, "the budget to be free", func() bool { return small.Free() == full })
}

// The attack, whole: forty connections each send 4 MiB of a declared 10
// MiB, or in chunks, with a fresh timestamp and 64 hexadecimal digits. Genuine
// notes are stored all the same, while the strangers still hold all that they
// have.
func TestStrangersDoNotDelayNotes(t *testing.T) {
	shorten(t, &bodyTimeout, 4*commandtest.WaitTimeout)
	shorten(t, &storeTimeout, 4*commandtest.WaitTimeout)
	fresh := shrink(t, receive.UnverifiedParts)
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
	eventually(t, "strangers to wait for room", func() bool { return fresh.Waiting() >= 10 })
	for i, body := range []string{note("small"), padded(note("64 KiB"), receive.SmallBody), note("in chunks"), padded(note("64 KiB in chunks"), receive.SmallBody)} {
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
	if n := fresh.Waiting(); n < 10 {
		t.Errorf("%d strangers still wait, want 10 or more: the notes waited for the others", n)
	}
}

// Two genuine bodies of the largest max_body arrive side by side and are both
// stored.
func TestTwoLargestBodiesAtOnce(t *testing.T) {
	fresh := shrink(t, receive.UnverifiedParts)
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", strings.Replace(bothProviders, "deliver_to ehr", "max_body 32MiB\n\t\tdeliver_to ehr", 1))
	const half = receive.MaxBody/2 + 1
	bodies := []string{padded(note("one"), receive.MaxBody), padded(note("two"), receive.MaxBody)}
	wires := make([]*wire, len(bodies))
	for i, body := range bodies {
		wires[i] = s.dial()
		wires[i].write(soapnoteRequest(body)[:len(soapnoteRequest(body))-half+2])
	}
	eventually(t, "both to hold their last buffer", func() bool {
		return receive.UnverifiedParts[receive.CommonPart]-fresh.Free()[receive.CommonPart] == 2*receive.MaxBody
	})
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
	for _, size := range []int{0, 1, receive.FirstRead - 1, receive.FirstRead, receive.FirstRead + 1, receive.SmallBody, receive.SmallBody + 1, 1 << 20, receive.MaxBody - 1, receive.MaxBody} {
		for _, declared := range []bool{true, false} {
			content := strings.Repeat("x", size)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			if !declared {
				chunked(r)
			}
			body := receive.NewBody(r, receive.Unverified)
			got, err := body.ReadAll(time.Now().Add(storeTimeout), receive.MaxBody)
			if err != nil || string(got) != content || declared && cap(got) != size {
				t.Errorf("%d bytes, declared %t: read %d in a buffer of %d, %v", size, declared, len(got), cap(got), err)
			}
			body.Release()
		}
	}
}
