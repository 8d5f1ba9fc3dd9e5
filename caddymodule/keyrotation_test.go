package caddymodule

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/boltqueue"
)

// writeKey writes a key of one repeated letter, as a rotation would: whole or
// not at all.
func writeKey(t *testing.T, path, letter string) boltqueue.Key {
	t.Helper()
	key := strings.Repeat(letter, 32)
	if err := os.WriteFile(path+".new", []byte(base64.StdEncoding.EncodeToString([]byte(key))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return boltqueue.Key([]byte(key))
}

// opens tries to open the queue with the keys alone.
func opens(t *testing.T, path string, keys ...boltqueue.Key) error {
	t.Helper()
	q, err := boltqueue.Open(boltqueue.Options{Path: path, Keys: keys, Settings: queue.DefaultSettings()})
	if err != nil {
		return err
	}
	return q.Close()
}

func TestEncryptionKeyIsRotatedWithoutReload(t *testing.T) {
	s, ehr := newSite(t), newBackend(t)
	ehr.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) })
	present, older := filepath.Join(s.dir, "present"), filepath.Join(s.dir, "older")
	first := writeKey(t, present, "A")
	path := filepath.Join(s.dir, "queue.db")
	app := "scribegate {\nqueue bolt {\npath " + path + "\nencryption_key {file." + present + "} {file." + older + "}\n}\nupstream ehr " + ehr.URL + "\n}"
	captured.reset()
	s.load(captureLog+app, soapnoteTo("ehr"))
	accepted(t, s, "before")

	// Without the old key among the new ones nothing may change: the event
	// could not be opened any more.
	writeKey(t, present, "B")
	eventually(t, "the refusal in the log", func() bool {
		accepted(t, s, "refused-"+time.Now().String())
		return strings.Contains(captured.String(), "cannot be taken on")
	})
	writeKey(t, older, "A")
	second := boltqueue.Key([]byte(strings.Repeat("B", 32)))
	g := currentGateway()
	eventually(t, "an event under the new key", func() bool {
		accepted(t, s, "after-"+time.Now().String())
		return g.queue.(*boltqueue.Queue).CheckKeys([]boltqueue.Key{first}) != nil
	})
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := opens(t, path, first, second); err != nil {
		t.Errorf("with both keys: %v", err)
	}
	for name, key := range map[string]boltqueue.Key{"old": first, "new": second} {
		if err := opens(t, path, key); err == nil {
			t.Errorf("the queue opens with the %s key alone, and so is not sealed with both", name)
		}
	}
}
