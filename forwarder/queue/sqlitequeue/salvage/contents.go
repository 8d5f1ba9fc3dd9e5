package salvage

import (
	"context"
	"database/sql/driver"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// contents are the events in an image. They are read from the tables of the image if
// the b-trees are undamaged. Otherwise the rows of all readable pages are copied to a
// separate database.
type contents struct {
	image *image
	rows  *tables.Conn // has the tables event, payload and delivery
	names *tables.Upstreams
	ring  *seal.Ring // opens payloads; nil: none is opened

	filed      int64 // all events up to this seq have a row in table event
	rebuilding bool  // open payloads only if the record is damaged, and compare all deliveries with their index
	copied     bool  // rows is a separate database, which has page numbers instead of payloads
	gaps       int   // unreadable pages of table event
	lost       int   // waiting events of which too little is left
	traces     int   // ended events of which too little is left
}

// readContents finds the events in an image.
func readContents(ctx context.Context, path string, m *image) (*contents, error) {
	if err := m.checkSchema(path); err != nil {
		return nil, err
	}
	c := &contents{image: m, rows: m.conn}
	var err error
	if c.names, err = tables.ReadUpstreams(m.conn); errors.Is(err, policy.ErrDamaged) {
		err = nil
	}
	if err == nil {
		c.filed, err = filedIn(m.conn)
	}
	if err == nil {
		err = tables.CheckTables(ctx, m.conn)
	}
	if errors.Is(err, policy.ErrDamaged) || err == nil && m.walDamaged() {
		err = c.salvage(ctx)
	}
	if err == nil {
		err = c.countLost(ctx)
	}
	if err == nil && m.newFirst {
		err = c.checkAny()
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *contents) close() error {
	if c.copied {
		return c.rows.Close()
	}
	return nil
}

// filedIn returns the seq up to which all events have a row in table event.
func filedIn(k *tables.Conn) (filed int64, err error) {
	m, err := tables.ReadMeta(k)
	if err == nil && m.Counts != nil {
		return m.Filed, nil
	}
	if err == nil || errors.Is(err, policy.ErrDamaged) {
		filed, err = k.Number(`SELECT max(seq) FROM event`)
	}
	if errors.Is(err, policy.ErrDamaged) {
		return math.MaxInt64, nil
	}
	return filed, err
}

// ErrNothing means that no part of a store could be read from a file.
var ErrNothing = errors.New("it is not a store, or no part of it can be read")

// checkAny returns ErrNothing if no event can be read.
func (c *contents) checkAny() error {
	n, err := c.rows.Number(`SELECT EXISTS (SELECT 1 FROM event) OR EXISTS (SELECT 1 FROM payload)`)
	if err == nil && n == 0 {
		err = ErrNothing
	}
	return err
}

// countLost counts the events of which only deliveries are left.
func (c *contents) countLost(ctx context.Context) error {
	stages := []string{"0"}
	for _, id := range c.names.IDs() {
		if name, _ := c.names.Name(id); queue.IsStage(name) {
			stages = append(stages, strconv.FormatInt(id, 10))
		}
	}
	err := c.rows.Query(ctx, `
		SELECT pending FROM (
			SELECT seq, max(state IN (0, 1, 4) AND upstream NOT IN (`+strings.Join(stages, ",")+`)) AS pending FROM delivery NOT INDEXED GROUP BY seq) d
		WHERE NOT EXISTS (SELECT 1 FROM event WHERE seq = d.seq) AND NOT EXISTS (SELECT 1 FROM payload WHERE seq = d.seq)`, func(row []driver.Value) error {
		s := tables.Scanner{Row: row}
		c.countOne(s.Int() == 1)
		return nil
	})
	if errors.Is(err, policy.ErrDamaged) {
		return nil // each event is also read alone
	}
	return err
}

func (c *contents) countOne(pending bool) {
	if pending {
		c.lost++
	} else {
		c.traces++
	}
}

// sealers returns the fingerprints of the keys that sealed the payloads of the readable
// events.
func (c *contents) sealers() (all []seal.Fingerprint, err error) {
	err = c.rows.Query(context.Background(), `SELECT DISTINCT key FROM event WHERE size > 0`, func(row []driver.Value) error {
		s := tables.Scanner{Row: row}
		all = append(all, tables.Fingerprint(s.Int()))
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Unfiled events are in table payload only.
	err = c.rows.Query(context.Background(), `SELECT seq FROM payload WHERE seq > ?`, func(row []driver.Value) error {
		s := tables.Scanner{Row: row}
		_, sealed, err := c.payload(s.Int())
		if key, ok := seal.KeyOf(sealed); ok && !slices.Contains(all, key) {
			all = append(all, key)
		}
		if errors.Is(err, policy.ErrDamaged) {
			return nil
		}
		return err
	}, c.filed)
	return all, err
}

// each calls found with each event, in the given SQL order.
func (c *contents) each(ctx context.Context, order string, payloads bool, found func(*salvaged) error) error {
	return c.rows.Query(ctx, `SELECT seq FROM event UNION SELECT seq FROM payload ORDER BY seq `+order, func(row []driver.Value) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := tables.Scanner{Row: row}
		e, err := c.read(s.Int(), payloads)
		if err != nil || e == nil {
			return err
		}
		return found(e)
	})
}
