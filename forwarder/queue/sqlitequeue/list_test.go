package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// Among a million events, a list or a selection of the few in a state must not read them all.
func TestStatesAreFoundByAnIndex(t *testing.T) {
	t.Parallel()
	q, _ := openNew(t)
	put(t, q, "a", "ehr")

	texts := make(map[string]selection)
	for _, state := range queue.States {
		l := listing{q: q, f: queue.Filter{State: state}}
		sources, err := l.sources()
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range sources {
			texts[fmt.Sprintf("list of %s events, source %d", state, i+1)] = selection{s.text, append(slices.Clone(s.args), int64(math.MaxInt64), int64(0), int64(50))}
		}
		for i, s := range q.statements(state) {
			texts[fmt.Sprintf("selection of %s events, statement %d", state, i+1)] = s
		}
	}
	for name, s := range texts {
		err := q.readers.With(context.Background(), func(c *tables.Conn) error {
			return c.Query(context.Background(), `EXPLAIN QUERY PLAN `+s.text, func(row []driver.Value) error {
				if plan := fmt.Sprint(row[3]); !strings.Contains(plan, " INDEX ") {
					t.Errorf("%s: %s", name, plan)
				}
				return nil
			}, s.args...)
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
