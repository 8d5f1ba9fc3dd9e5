package sqlitequeue

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/salvage"
)

// A copy that is made right after events were stored has their payloads, although
// nothing else of them is written yet, and says so where the key is missing.
func TestReaderOpensEventsThatWereJustStored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	for i := range 5 {
		it := queue.Item{Event: queuetest.Event(fmt.Sprint("e", i), time.Now()), Upstreams: []string{"ehr"}}
		if _, err := q.Store(t.Context(), it); err != nil {
			t.Fatal(err)
		}
	}
	copied := filepath.Join(dir, "copy.db")
	f, err := os.Create(copied)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Backup(t.Context(), f, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	read := func() (opened int, err error) {
		r, err := salvage.OpenReader(copied, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		_, err = r.Read(t.Context(), salvage.ReadFilter{Payloads: true}, func(f salvage.Found) error {
			if f.Event != nil {
				opened++
			}
			return nil
		})
		return opened, err
	}
	if n, err := read(); err == nil || !strings.Contains(err.Error(), "no key is given") {
		t.Errorf("without the key: %d opened, %v", n, err)
	}
	copyFile(t, path+".key", copied+".key")
	if n, err := read(); n != 5 || err != nil {
		t.Errorf("%d opened, %v", n, err)
	}
}
