package load

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/certificate"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// A receiver is a server that checks and counts the requests.
type receiver struct {
	mu     sync.Mutex
	bodies map[string]int
	forged int
	other  int // of another protocol than HTTP/2
	answer func(n int, w http.ResponseWriter)
}

func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write([]byte(r.Header.Get("X-SoapNoteAPI-Timestamp") + "."))
	mac.Write(text)
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.bodies[string(text)]++
	if err != nil || hex.EncodeToString(mac.Sum(nil)) != r.Header.Get("X-SoapNoteAPI-Signature") {
		rc.forged++
	}
	if r.ProtoMajor != 2 {
		rc.other++
	}
	if rc.answer != nil {
		rc.answer(len(rc.bodies), w)
		return
	}
	fmt.Fprint(w, `{"received":true,"id":"soapnoteapi-1"}`)
}

// serve starts a server and returns it as a target, in either protocol.
func serve(t *testing.T, h http.Handler, secure bool) Target {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	t.Cleanup(server.Close)
	if !secure {
		server.Start()
		return Target{Address: server.Listener.Addr().String()}
	}
	cert, err := certificate.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = cert.Server.Clone()
	server.EnableHTTP2 = true
	server.StartTLS()
	return Target{Address: server.Listener.Addr().String(), TLS: cert.Client}
}

func connect(t *testing.T, to Target, n int) Generator {
	t.Helper()
	l, err := to.Connect(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func prepare(t *testing.T, to Target, size, n int) *batch {
	t.Helper()
	m, err := Spec{Path: "/soapnote", Secret: testSecret, Body: NoteBody(size)}.Prepare(to.Address, n, at)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryRequestArrivesOnce(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		for _, size := range []int{126, 1500, 16_000, 256_000} {
			t.Run(fmt.Sprintf("%d bytes, TLS %v", size, secure), func(t *testing.T) {
				t.Parallel()
				rc := &receiver{bodies: make(map[string]int)}
				to := serve(t, rc, secure)
				l := connect(t, to, 4)
				const number = 60 // of the largest, many times what HTTP/2's flow control allows at once
				for range 2 {     // the connections stay
					got, err := l.Run(t.Context(), Phase{Batch: prepare(t, to, size, number)})
					if err != nil {
						t.Fatal(err)
					}
					if err := got.Only(200); err != nil || got.Answered() != number || len(got.Latencies) != number || got.inTime != number {
						t.Errorf("the totals are %+v, %v", got.statuses, err)
					}
				}
				if len(rc.bodies) != 2*number || rc.forged > 0 || secure != (rc.other == 0) {
					t.Errorf("%d different requests arrived, %d forged, %d not in HTTP/2; want %d", len(rc.bodies), rc.forged, rc.other, 2*number)
				}
			})
		}
	}
}

func TestAnswersAreCounted(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			t.Parallel()
			rc := &receiver{bodies: make(map[string]int), answer: func(n int, w http.ResponseWriter) {
				switch n % 4 {
				case 1:
					w.WriteHeader(http.StatusUnauthorized)
				case 2:
					w.WriteHeader(http.StatusServiceUnavailable)
				case 3:
					fmt.Fprint(w, `{"received":true,"id":"x","duplicate":true}`)
				}
			}}
			to := serve(t, rc, secure)
			got, err := connect(t, to, 3).Run(t.Context(), Phase{Batch: prepare(t, to, 126, 40)})
			if err != nil {
				t.Fatal(err)
			}
			if got.statuses[401] != 10 || got.statuses[503] != 10 || got.statuses[200] != 20 || got.duplicates != 10 {
				t.Errorf("the answers were %v, %d duplicates", got.statuses, got.duplicates)
			}
			if got.Only(200) == nil {
				t.Error("Only(200) = nil")
			}
		})
	}
}

// A server that does not read the body, as a bare respond does not.
func TestBodyIsNotRead(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			t.Parallel()
			to := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), secure)
			got, err := connect(t, to, 2).Run(t.Context(), Phase{Batch: prepare(t, to, 256_000, 40)})
			if err != nil || got.Only(200) != nil {
				t.Errorf("%v, %v", got.statuses, err)
			}
		})
	}
}

func TestFireEnds(t *testing.T) {
	t.Parallel()
	to := serve(t, &receiver{bodies: make(map[string]int)}, false)
	t.Run("with the time", func(t *testing.T) {
		t.Parallel()
		m := prepare(t, to, 126, 1_000_000)
		got, err := connect(t, to, 2).Run(t.Context(), Phase{Batch: m, Lasts: 50 * time.Millisecond})
		if err != nil || got.Only(200) != nil || got.Answered() >= len(m.requests) {
			t.Errorf("%d of %d sent, %v", got.Answered(), len(m.requests), err)
		}
		if got.lasted > 50*time.Millisecond {
			t.Errorf("lasted = %s, want at most 50ms", got.lasted)
		}
	})
	t.Run("with its context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		over := errors.New("the time is over")
		v := Phase{Batch: prepare(t, to, 126, 1000), Hold: func() bool { cancel(over); return true }}
		if _, err := connect(t, to, 2).Run(ctx, v); !errors.Is(err, over) {
			t.Errorf("Run() = %v, want %v", err, over)
		}
	})
	t.Run("with the server", func(t *testing.T) {
		t.Parallel()
		r, err := NewResponder(t.Context(), "0")
		if err != nil {
			t.Fatal(err)
		}
		to := Target{Address: r.Start().Address()}
		l := connect(t, to, 2)
		r.Close()
		if _, err := l.Run(t.Context(), Phase{Batch: prepare(t, to, 126, 10)}); err == nil {
			t.Error("Run() = nil, though the server is closed")
		}
	})
}

func TestHold(t *testing.T) {
	t.Parallel()
	r, err := NewResponder(t.Context(), "0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Start().Close)
	to := Target{Address: r.Address()}
	m := prepare(t, to, 126, 100)
	var held, count int64
	v := Phase{Batch: m, Count: r.Received.Load, Hold: func() bool {
		held++
		return held%2 == 1
	}}
	got, err := connect(t, to, 1).Run(t.Context(), v)
	if err != nil || got.Answered() != 100 {
		t.Fatalf("%d, %v", got.Answered(), err)
	}
	if count = got.counted; count != 100 || held < 200 {
		t.Errorf("%d counted, hold was called %d times", count, held)
	}
}

func TestProtocolIsInsistedOn(t *testing.T) {
	t.Parallel()
	to := serve(t, http.NotFoundHandler(), true)
	to.TLS = to.TLS.Clone()
	to.TLS.NextProtos = []string{"http/1.1"}
	if _, err := to.Connect(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "protocol") {
		t.Errorf("Connect() = %v, want an error about the protocol", err)
	}
	if http2.NextProtoTLS != "h2" {
		t.Errorf("HTTP/2 is %q", http2.NextProtoTLS)
	}
}

// The connections of two load generators take their requests from one batch.
func TestAnd(t *testing.T) {
	t.Parallel()
	one, other := &receiver{bodies: make(map[string]int)}, &receiver{bodies: make(map[string]int)}
	to := serve(t, one, false)
	both := connect(t, to, 2).And(connect(t, serve(t, other, false), 2))
	m, err := Spec{Path: "/", Secret: testSecret, Body: NoteBody(200)}.Prepare(to.Address, 400, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	totals, err := both.Run(t.Context(), Phase{Batch: m})
	if err := errors.Join(err, totals.Only(http.StatusOK)); err != nil || totals.Answered() != 400 {
		t.Fatalf("%d answers, %v", totals.Answered(), err)
	}
	if len(one.bodies) == 0 || len(other.bodies) == 0 || len(one.bodies)+len(other.bodies) != 400 {
		t.Errorf("the targets received %d and %d requests, want 400 together", len(one.bodies), len(other.bodies))
	}
}
