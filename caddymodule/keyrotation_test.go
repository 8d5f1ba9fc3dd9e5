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

	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// writeKey writes a key of one repeated letter, as a rotation does: in one step.
func writeKey(t *testing.T, path, letter string) seal.Key {
	t.Helper()
	key := strings.Repeat(letter, 32)
	if err := os.WriteFile(path+".new", []byte(base64.StdEncoding.EncodeToString([]byte(key))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return seal.Key([]byte(key))
}

// opens tries to open the queue with these keys only.
func opens(t *testing.T, path string, keys ...seal.Key) error {
	t.Helper()
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: path, Keys: keys, Settings: queue.DefaultSettings()})
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
	app := "scribegate {\nqueue sqlite {\npath " + path + "\nencryption_key {file." + present + "} {file." + older + "}\n}\nupstream ehr " + ehr.URL + "\n}"
	captured.reset()
	s.load(captureLog+app, soapnoteTo("ehr"))
	accepted(t, s, "before")

	// If the old key is not among the new ones, nothing may change: the event could not be
	// opened any more.
	writeKey(t, present, "B")
	eventually(t, "the refusal in the log", func() bool {
		accepted(t, s, "refused-"+time.Now().String())
		return strings.Contains(captured.String(), "cannot be applied")
	})
	writeKey(t, older, "A")
	second := seal.Key([]byte(strings.Repeat("B", 32)))
	g := gateway.Current()
	eventually(t, "an event under the new key", func() bool {
		accepted(t, s, "after-"+time.Now().String())
		return g.Queue().(*sqlitequeue.Queue).CheckKeys([]seal.Key{first}) != nil
	})

	// The older events are sealed again in the background, and the log reports that.
	eventually(t, "the older key to be needed no more", func() bool {
		return strings.Contains(captured.String(), "the older keys may be removed from encryption_key")
	})
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := opens(t, path, second); err != nil {
		t.Errorf("with the new key alone: %v", err)
	}
	if err := opens(t, path, first); err == nil {
		t.Error("the queue opens with the old key alone, and so is not sealed with the new one")
	}
}

// A key in a file is replaced, and the stored events are sealed again, while no event arrives.
func TestEncryptionKeyIsRotatedWithoutAnEvent(t *testing.T) {
	s, ehr := newSite(t), newBackend(t)
	ehr.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) })
	present, older := filepath.Join(s.dir, "present"), filepath.Join(s.dir, "older")
	writeKey(t, present, "A")
	captured.reset()
	s.load(captureLog+"scribegate {\nqueue sqlite {\npath "+filepath.Join(s.dir, "queue.db")+"\nencryption_key {file."+present+"} {file."+older+"}\n}\nupstream ehr "+ehr.URL+"\n}", soapnoteTo("ehr"))
	accepted(t, s, "before")
	writeKey(t, older, "A")
	writeKey(t, present, "B")
	eventually(t, "the older key to be needed no more", func() bool {
		return strings.Contains(captured.String(), "the older keys may be removed from encryption_key")
	})
}

// A key that was generated beside the queue's file can be replaced by a configured one, and
// deleted when the log reports that.
func TestEncryptionKeyTakesThePlaceOfTheAutomaticOne(t *testing.T) {
	s, ehr := newSite(t), newBackend(t)
	ehr.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) })
	path, named := filepath.Join(s.dir, "queue.db"), filepath.Join(s.dir, "named")
	app := func(key string) string {
		return captureLog + "scribegate {\nqueue sqlite {\npath " + path + "\n" + key + "\n}\nupstream ehr " + ehr.URL + "\n}"
	}
	captured.reset()
	s.load(app(""), soapnoteTo("ehr"))
	accepted(t, s, "before")
	key := writeKey(t, named, "A")
	s.load(app("encryption_key {file."+named+"}"), soapnoteTo("ehr"))
	eventually(t, "the word that the key file may go", func() bool {
		return strings.Contains(captured.String(), "may be deleted") && strings.Contains(captured.String(), path+".key")
	})
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + ".key"); err != nil {
		t.Fatal(err)
	}
	if err := opens(t, path, key); err != nil {
		t.Errorf("without the key file: %v", err)
	}
}
