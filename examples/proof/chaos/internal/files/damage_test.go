package files

import (
	"testing"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
)

func TestDamagePage(t *testing.T) {
	t.Parallel()
	for name, whole := range map[string]bool{"zeros": true, "a byte": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, db := newStore(t, 20)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			pages, err := indexes(t.Context(), r)
			if err != nil || len(pages) != 1 || pages[0].index != "byid" {
				t.Fatalf("indexes() = %v, %v, want the one with entries", pages, err)
			}
			if err := gateway.Intact(t.Context(), r.QueueFile()); err != nil {
				t.Errorf("intact() = %v before the damage", err)
			}
			if err := damagePage(r, pages[0].number, whole); err != nil {
				t.Fatal(err)
			}
			if err := gateway.Intact(t.Context(), r.QueueFile()); err == nil {
				t.Error("intact() = nil after the damage")
			}
		})
	}
}
