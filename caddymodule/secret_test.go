package caddymodule

import (
	"encoding/base64"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/caddymodule/internal/secret/secrettest"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/seal"
)

func TestSigningKeysFollowTheirFiles(t *testing.T) {
	older := "whsec_" + base64.StdEncoding.EncodeToString([]byte("another key of at least 24 bytes"))
	path, placeholder := secrettest.File(t, testSigning)
	synctest.Test(t, func(t *testing.T) {
		keys, err := signingKeys(t.Context(), "signing_secret", []string{placeholder, "{env.NOT_SET}"}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		want := func(value string) forwarder.SigningKey {
			key, err := forwarder.ParseSigningSecret(value)
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
		if got := keys(); len(got) != 1 || string(got[0]) != string(want(testSigning)) {
			t.Error("the first key is not that of the file, or the unset entry is one")
		}
		secrettest.Put(t, path, older)
		time.Sleep(secrettest.PickUp)
		if got := keys(); len(got) != 1 || string(got[0]) != string(want(older)) {
			t.Error("the key did not follow its file")
		}
		secrettest.Put(t, path, "whsec_not base64")
		time.Sleep(secrettest.PickUp)
		if got := keys(); len(got) != 1 || string(got[0]) != string(want(older)) {
			t.Error("the last good key is not in force")
		}
	})
}

func TestKeysOfTheQueue(t *testing.T) {
	t.Setenv("KEY", testKey)
	t.Setenv("SHORT", "c2VjcmV0")
	_, file := secrettest.File(t, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("B", 32)))+"\n")
	for name, c := range map[string]struct {
		raw  []string
		keys int
		says string
	}{
		"one":              {[]string{"{env.KEY}"}, 1, ""},
		"older from files": {[]string{"{env.KEY}", file}, 2, ""},
		"older unset":      {[]string{"{env.KEY}", "{env.NOT_SET}"}, 1, ""},
		"all unset":        {[]string{"{env.NOT_SET}"}, 0, "encryption_key: every entry is unset or empty"},
		"short":            {[]string{"{env.KEY}", "{env.SHORT}"}, 0, "encryption_key, entry 2: reading an encryption key: it has 6 bytes and must have 32"},
	} {
		t.Run(name, func(t *testing.T) {
			s := SQLite{Path: filepath.Join(t.TempDir(), "queue.db"), EncryptionKeys: c.raw}
			err := s.Provision(newContext(t))
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "c2VjcmV0") {
					t.Errorf("error %v, want %q and no key", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if keys := s.currentKeys(); len(keys) != c.keys || keys[0] != seal.Key([]byte(strings.Repeat("A", 32))) {
				t.Errorf("%d keys, want %d, the first one first", len(keys), c.keys)
			}
		})
	}
}

// TestFollowingEndsWithTheConfiguration validates configurations, a good one and
// one that is refused after its secrets are resolved: nothing goes on reading.
func TestFollowingEndsWithTheConfiguration(t *testing.T) {
	_, placeholder := secrettest.File(t, testSecret)
	following := func() bool {
		stacks := make([]byte, 1<<20)
		return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), ".(*List).follow(")
	}
	provider := `"provider":{"name":"soapnoteapi","secrets":["` + placeholder + `"]}`
	if err := validate(inJSON(jsonApp, `{"handler":"scribegate",`+provider+`,"deliver_to":["ehr"]}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of following", func() bool { return !following() })
	if err := validate(inJSON(jsonApp, `{"handler":"scribegate",`+provider+`,"deliver_to":["warehouse"]}`)); err == nil {
		t.Fatal("no error")
	}
	eventually(t, "the end of following", func() bool { return !following() })
	if _, err := secret.New(t.Context(), secret.Options{Name: "test secret", Entries: []string{placeholder}, Logger: zap.NewNop()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "following, which this test would not see otherwise", following)
}
