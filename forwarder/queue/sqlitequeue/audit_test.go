package sqlitequeue

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/salvage"
)

// A fixedTrail has always the same newest line.
type fixedTrail struct{ head, continued queue.AuditHead }

func (t *fixedTrail) Newest() queue.AuditHead { return t.head }

func (t *fixedTrail) Continue(h queue.AuditHead) {
	t.continued = h
	t.head = queue.AuditHead{Node: h.Node, Seq: h.Seq + 1, Chain: "chain of " + h.Node}
}

// A copy of a store is another node, and knows the newest line of the original. Damage of that is
// reported, and the trail begins anew.
func TestAuditOfCopiesAndDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, copied := filepath.Join(dir, "queue.db"), filepath.Join(dir, "copy.db")
	settings := queue.DefaultSettings()
	q := mustOpen(t, Options{Path: path, Settings: settings})
	original := new(fixedTrail)
	q.KeepAudit(original)
	if _, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event("a", q.now()), Upstreams: []string{"ehr"}}); err != nil {
		t.Fatal(err)
	}
	mustClose(t, q)
	r, err := salvage.OpenReader(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if heads, err := r.AuditHeads(); err != nil || len(heads) != 1 || heads[0] != original.head || len(r.Keys()) != 1 {
		t.Errorf("the file has %+v, %v", heads, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	q = mustOpen(t, Options{Path: path, Settings: settings})
	var backup strings.Builder
	if err := q.Backup(t.Context(), &backup, nil); err != nil {
		t.Fatal(err)
	}
	mustClose(t, q)
	writeFile(t, copied, []byte(backup.String()))
	copyFile(t, path+".key", copied+".key")
	q = mustOpen(t, Options{Path: copied, Settings: settings})
	other := new(fixedTrail)
	q.KeepAudit(other)
	if heads, err := q.AuditHeads(t.Context()); err != nil || other.continued.Seq != 0 || other.head.Node == original.head.Node || !slices.Equal(heads, []queue.AuditHead{original.head, other.head}) {
		t.Errorf("the copy has %+v, %v, and continues %+v", heads, err, other.continued)
	}
	mustClose(t, q)

	command(t, path, `UPDATE meta SET audit = replace(audit, '"seq":1', '"seq":2')`)
	var reported reports
	q = mustOpen(t, Options{Path: path, Settings: settings, OnDamage: reported.add})
	again := new(fixedTrail)
	q.KeepAudit(again)
	if again.continued.Seq != 0 || !strings.Contains(strings.Join(reported.get(), "\n"), "audit trail") {
		t.Errorf("continues %+v; reported %q", again.continued, reported.get())
	}
}
