package crash

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

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
)

// A forgetful is a minimal gateway, which detects duplicates by their bodies.
type forgetful struct{ known sync.Map }

func (f *forgetful) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	_, _ = io.Copy(sum, r.Body) // a body that is cut is another event
	id := hex.EncodeToString(sum.Sum(nil))
	_, again := f.known.LoadOrStore(id, true)
	fmt.Fprintf(w, `{"received":true,"id":%q,"duplicate":%v}`, id, again)
}

// A gateway that has forgotten an acknowledged event accepts it again, which the count of lost events does not
// show.
func TestResendKnownFindsForgottenEvents(t *testing.T) {
	t.Parallel()
	for name, forgets := range map[string]bool{"remembers": false, "forgets": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f forgetful
			server := httptest.NewServer(&f)
			t.Cleanup(server.Close)
			r := &gateway.Rig{Port: server.URL[strings.LastIndexByte(server.URL, ':')+1:], Secrets: load.NewSecrets()}
			k := &killRun{rig: r, book: ledger.NewBook(), fleet: r.Fleet()}
			k.sendKnown(t.Context())
			if len(k.known) != 6 || k.book.Events() != 6 {
				t.Fatalf("%d known, %d acknowledged, want 6", len(k.known), k.book.Events())
			}
			if forgets {
				f.known.Delete(k.known[3].id)
			}
			if err := k.resendKnown(t.Context()); (err != nil) != forgets {
				t.Errorf("resendKnown() = %v", err)
			}
		})
	}
}
