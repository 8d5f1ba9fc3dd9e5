package salvage

import (
	"context"
	"database/sql/driver"
	"errors"
	"math"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// contents are the events in an image. Where the trees of the tables are whole they are
// read from it; else what their pages hold was copied from there.
type contents struct {
	image *image
	rows  *tables.Conn // has the tables event, payload and delivery
	names *tables.Upstreams
	ring  *seal.Ring // opens payloads; nil: none is opened

	filed      int64 // all events up to this one have a row in table event
	rebuilding bool  // payloads are opened only where the record is damaged, and all deliveries compared with their index
	copied     bool  // rows is a database of its own, with page numbers as payloads
	gaps       int   // pages of table event that cannot be read
	lost       int   // events that wait, of which too little is left
	traces     int   // events that have ended, of which too little is left
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

// ErrNothing says that nothing in a file is of a store, as far as it can be read.
var ErrNothing = errors.New("it is not a store, or nothing of it can be read")

// checkAny returns ErrNothing where no event can be read.
func (c *contents) checkAny() error {
	n, err := c.rows.Number(`SELECT EXISTS (SELECT 1 FROM event) OR EXISTS (SELECT 1 FROM payload)`)
	if err == nil && n == 0 {
		err = ErrNothing
	}
	return err
}

// countLost counts the events of which nothing but deliveries is left.
func (c *contents) countLost(ctx context.Context) error {
	err := c.rows.Query(ctx, `
		SELECT pending FROM (SELECT seq, max(state < 2) AS pending FROM delivery NOT INDEXED GROUP BY seq) d
		WHERE NOT EXISTS (SELECT 1 FROM event WHERE seq = d.seq) AND NOT EXISTS (SELECT 1 FROM payload WHERE seq = d.seq)`, func(row []driver.Value) error {
		s := tables.Scanner{Row: row}
		c.countOne(s.Int() == 1)
		return nil
	})
	if errors.Is(err, policy.ErrDamaged) {
		return nil // each event is read by itself, too
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

// sealers returns the fingerprints of the keys that sealed the payloads of the events
// whose rows can be read.
func (c *contents) sealers() (all []seal.Fingerprint, err error) {
	err = c.rows.Query(context.Background(), `SELECT DISTINCT key FROM event WHERE size > 0`, func(row []driver.Value) error {
		s := tables.Scanner{Row: row}
		all = append(all, tables.Fingerprint(s.Int()))
		return nil
	})
	if err != nil {
		return nil, err
	}
	// The others are in table payload only.
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

// each calls found with each event, in the order of SQL.
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
