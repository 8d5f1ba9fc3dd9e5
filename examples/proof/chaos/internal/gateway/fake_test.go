package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
)

// A fake is a minimal gateway for the tests of this program. It makes the mistakes that a test selects.
type fake struct {
	t         *testing.T
	ledger    *ledger.Ledger
	loseEvery int // lose every n-th event to the upstream audit
	twice     bool
	status    int // of the first answer to each event; 0 is 200

	mu       sync.Mutex
	requests int
	taken    map[string]bool
	refused  map[string]bool
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	sum := sha256.Sum256(body)
	id := hex.EncodeToString(sum[:16])
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.status != 0 && !f.refused[id] {
		f.refused[id] = true
		if f.status < 0 {
			panic(http.ErrAbortHandler) // the connection is cut
		}
		w.WriteHeader(f.status)
		io.WriteString(w, `{"error":"temporarily unavailable"}`)
		return
	}
	if f.taken[id] {
		fmt.Fprintf(w, `{"received":true,"id":%q,"duplicate":true}`, id)
		return
	}
	f.taken[id] = true
	for _, name := range f.ledger.Names() {
		if f.loseEvery > 0 && name == "audit" && len(f.taken)%f.loseEvery == 0 {
			continue
		}
		f.deliver(name, id)
		if f.twice {
			f.deliver(name, id)
		}
	}
	fmt.Fprintf(w, `{"received":true,"id":%q}`, id)
}

func (f *fake) deliver(name, id string) {
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.ledger.Backend(name).URL(), strings.NewReader("{}"))
	if err != nil {
		f.t.Error(err)
		return
	}
	r.Header.Set("webhook-id", id)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Error(err)
		return
	}
	resp.Body.Close()
}

// newFakeRig returns a rig with a fake as gateway, and the backends ehr and audit.
func newFakeRig(t *testing.T, f *fake) (*Rig, *httptest.Server) {
	t.Helper()
	r := &Rig{Ledger: ledger.New(), Secrets: load.NewSecrets(), Proc: &Process{Ended: make(chan struct{})}}
	t.Cleanup(r.Ledger.Close)
	for _, name := range []string{"ehr", "audit"} {
		if _, err := r.Ledger.Add(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	f.t, f.ledger, f.taken, f.refused = t, r.Ledger, make(map[string]bool), make(map[string]bool)
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	_, r.Port, _ = strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	return r, server
}
