package salvage_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/salvage"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/storetest"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// The new file has everything from the old one, which is kept. If accept returns an
// error, nothing is replaced and no file is left.
func TestRebuild(t *testing.T) {
	t.Parallel()
	s := newStore(t, 50)
	path := s.Copy(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("another key")
	r, err := salvage.Rebuild(t.Context(), path, nil, time.Now(), func(map[seal.Fingerprint]int64) error { return refused })
	if after, _ := os.ReadFile(path); !errors.Is(err, refused) || r != nil || !bytes.Equal(before, after) {
		t.Errorf("%v, %v", r, err)
	}
	if names, _ := filepath.Glob(path + ".*"); len(names) != 1 { // the key
		t.Errorf("files left: %v", names)
	}
	payloads := int64(0)
	r, err = salvage.Rebuild(t.Context(), path, nil, time.Now(), func(sealed map[seal.Fingerprint]int64) error {
		for _, n := range sealed {
			payloads += n
		}
		return nil
	})
	if err != nil || r.String() != "50 events are in it" || payloads == 0 {
		t.Fatalf("%v, %d payloads, %v", r, payloads, err)
	}
	if kept, err := os.ReadFile(r.Kept); err != nil || !bytes.Equal(kept, before) {
		t.Errorf("%s is not the damaged file; %v", r.Kept, err)
	}
	all, tally := storetest.ReadAll(t, path)
	if !tally.Whole() || tally.Events != 50 {
		t.Errorf("%+v", tally)
	}
	for id, f := range all {
		if fmt.Sprint(f.Record) != fmt.Sprint(s.Want[id]) || f.Record.HasPayload != (f.Event != nil) {
			t.Errorf("%+v, want %+v", f, s.Want[id])
		}
	}
}
