package salvage

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// salvage copies the rows of all readable pages, even if the b-trees of the tables do
// not lead to them. SQLite reads each page as if it were the only page of its table. Of
// a payload, only the page number is copied.
func (c *contents) salvage(ctx context.Context) (err error) {
	m := c.image
	if c.rows, err = tables.OpenEmpty("", `PRAGMA journal_mode=OFF`, `PRAGMA synchronous=OFF`); err != nil {
		return err
	}
	c.copied = true
	if err := c.rows.Run(`BEGIN`); err != nil {
		return err
	}
	for i, b := range m.damaged { // before older versions of the same pages
		page := m.pages + 1 + uint32(i)
		m.replaced[page] = b
		if _, err := c.salvagePage(page, b[0]); err != nil {
			return err
		}
	}
	b := make([]byte, tables.PageSize)
	var bad []uint32
	parents := make(map[uint32]bool)
	for page := uint32(3); page <= m.pages; page++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if page == ptrmapOf(page) {
			continue
		}
		delete(m.replaced, page)
		if err := m.read(page, b); err != nil {
			return err
		}
		whole, err := c.salvagePage(page, b[0])
		if err != nil {
			return err
		}
		if !whole && m.owner(page) == tables.RootEvent {
			bad = append(bad, page)
		}
		_, parent := m.entry(page)
		parents[parent] = true
	}
	for _, root := range []uint32{tables.RootEvent, tables.RootPayload, tables.RootDelivery} {
		delete(m.replaced, root)
	}
	if err := m.conn.Run(`PRAGMA shrink_memory`); err != nil {
		return err
	}
	for _, page := range bad {
		if !parents[page] { // a leaf page
			c.gaps++
		}
	}
	if m.short || m.truncated() > 0 {
		c.gaps++
	}
	return c.rows.Run(`COMMIT`)
}

// salvagePage copies the rows of a page of the kind. It reports whether all rows of
// table event on the page were readable.
func (c *contents) salvagePage(page uint32, kind byte) (whole bool, err error) {
	switch kind {
	case tableLeaf:
		return c.salvageTable(page)
	case indexLeaf, indexInterior:
		return false, c.salvageDeliveries(page)
	}
	return kind == tableInterior, nil
}

// salvageTable copies the rows of a page of table event or payload, and reports whether
// all were readable.
func (c *contents) salvageTable(page uint32) (whole bool, err error) {
	if err := c.image.setRoot(page, tables.RootEvent, tables.RootPayload); err != nil {
		return false, err
	}
	var place [4]byte
	binary.BigEndian.PutUint32(place[:], page)
	payloads := 0
	const text = `SELECT seq, id, provider, type, subject, received_at, state, reason, ended_at, upstreams, checksum, typeof(sealed) FROM payload`
	whole, err = c.copyRows(text, func(row []driver.Value) error {
		last := len(row) - 1
		if row[last] != "blob" {
			return nil
		}
		row[last] = place[:]
		payloads++
		return c.rows.Insert(`INSERT OR IGNORE`+tables.IntoPayload, row)
	})
	if err != nil || payloads > 0 {
		return whole, err
	}
	return c.copyRows(`SELECT `+tables.EventColumns+` FROM event e`, func(row []driver.Value) error {
		if _, _, err := tables.ScanEvent(row); err != nil {
			return nil //nolint:nilerr // a row of another table, or damaged
		}
		return c.rows.Insert(`INSERT OR IGNORE`+tables.IntoEvent, row)
	})
}

// salvageDeliveries copies the rows of a page of table delivery.
func (c *contents) salvageDeliveries(page uint32) error {
	if err := c.image.setRoot(page, tables.RootDelivery); err != nil {
		return err
	}
	_, err := c.copyRows(`SELECT seq, upstream, state, due, attempts, used, history, checksum FROM delivery NOT INDEXED`, func(row []driver.Value) error {
		seq, ok := row[0].(int64)
		if _, err := tables.ScanDelivery(seq, row[1:], c.names); err != nil || !ok {
			return nil //nolint:nilerr // a row of another table, or damaged
		}
		if history, _ := row[6].([]byte); len(history) == 0 {
			row[6] = []byte{} // not NULL
		}
		return c.rows.Insert(`INSERT OR IGNORE`+tables.IntoDelivery, slices.Concat(row[2:], row[:2]))
	})
	return err
}

// copyRows calls each with the rows of a page, from both ends up to the first
// unreadable row. It reports whether all were readable.
func (c *contents) copyRows(text string, each func(row []driver.Value) error) (whole bool, err error) {
	for _, order := range []string{``, ` ORDER BY 1 DESC`} {
		err := c.image.conn.Query(context.Background(), text+order, each)
		if !errors.Is(err, policy.ErrDamaged) {
			return err == nil && order == ``, err
		}
	}
	return false, nil
}

// The first byte of a b-tree page.
const (
	indexInterior = 2
	tableInterior = 5
	indexLeaf     = 10
	tableLeaf     = 13
)

// setRoot uses the content of a page as the root page of the tables.
func (m *image) setRoot(page uint32, roots ...uint32) error {
	b := make([]byte, tables.PageSize)
	for _, root := range roots {
		delete(m.replaced, root)
	}
	if err := m.read(page, b); err != nil {
		return err
	}
	if b[0] == indexInterior {
		toLeaf(b)
	}
	for _, root := range roots {
		m.replaced[root] = b
	}
	return m.conn.Run(`PRAGMA shrink_memory`) // drops the previous content of the pages from the cache
}

// toLeaf turns an interior page of an index into a leaf page. Interior pages of indexes
// have rows too, each after a page number.
func toLeaf(b []byte) {
	b[0] = indexLeaf
	n := min(int(binary.BigEndian.Uint16(b[3:])), (tables.PageSize-12)/2)
	for i := range n {
		at := binary.BigEndian.Uint16(b[12+2*i:])
		binary.BigEndian.PutUint16(b[8+2*i:], at+4)
	}
}

// ptrmapOf returns the pointer map page with the entry of a page: its kind and its
// parent. See https://sqlite.org/fileformat2.html, section 1.8.
func ptrmapOf(page uint32) uint32 {
	const entries = tables.PageSize / 5
	return (page-2)/(entries+1)*(entries+1) + 2
}

// The kinds of b-tree pages in the pointer map.
const (
	ptrmapRoot  = 1
	ptrmapBtree = 5
)

// entry returns the pointer map entry of a page: its kind and its parent.
func (m *image) entry(page uint32) (kind byte, parent uint32) {
	var b [tables.PageSize]byte
	if page < 3 || page == ptrmapOf(page) || m.read(ptrmapOf(page), b[:]) != nil {
		return 0, 0
	}
	entry := b[5*(page-ptrmapOf(page)-1):]
	return entry[0], binary.BigEndian.Uint32(entry[1:])
}

// owner returns the root page of the b-tree that contains a page, or 0.
func (m *image) owner(page uint32) uint32 {
	for range 20 {
		switch kind, parent := m.entry(page); kind {
		case ptrmapRoot:
			return page
		case ptrmapBtree:
			page = parent
		default:
			return 0
		}
	}
	return 0
}
