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

// salvage copies the rows on all pages that can be read, whether or not the trees of
// the tables lead to them. SQLite reads each page as if the table had no other. Of
// payloads only the place is copied.
func (c *contents) salvage(ctx context.Context) (err error) {
	m := c.image
	if c.rows, err = tables.OpenEmpty("", `PRAGMA journal_mode=OFF`, `PRAGMA synchronous=OFF`); err != nil {
		return err
	}
	c.copied = true
	if err := c.rows.Run(`BEGIN`); err != nil {
		return err
	}
	for i, b := range m.damaged { // before older contents of the same pages
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
		if page == mapOf(page) {
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
		if !parents[page] { // it was a leaf
			c.gaps++
		}
	}
	if m.short || m.truncated() > 0 {
		c.gaps++
	}
	return c.rows.Run(`COMMIT`)
}

// salvagePage copies the rows of a page of a kind, and reports whether all of its rows in
// table event could be read.
func (c *contents) salvagePage(page uint32, kind byte) (whole bool, err error) {
	switch kind {
	case tableLeaf:
		return c.salvageTable(page)
	case indexLeaf, indexNode:
		return false, c.salvageDeliveries(page)
	}
	return kind == tableNode, nil
}

// salvageTable copies the rows of a page of table event or payload, and reports whether
// all could be read.
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
			return nil //nolint:nilerr // a row of another table, or a damaged one
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
			return nil //nolint:nilerr // a row of another table, or a damaged one
		}
		if history, _ := row[6].([]byte); len(history) == 0 {
			row[6] = []byte{} // not NULL
		}
		return c.rows.Insert(`INSERT OR IGNORE`+tables.IntoDelivery, slices.Concat(row[2:], row[:2]))
	})
	return err
}

// copyRows calls each with the rows of a table of one page, from both ends to the first
// that cannot be read, and reports whether there is none.
func (c *contents) copyRows(text string, each func(row []driver.Value) error) (whole bool, err error) {
	for _, order := range []string{``, ` ORDER BY 1 DESC`} {
		err := c.image.conn.Query(context.Background(), text+order, each)
		if !errors.Is(err, policy.ErrDamaged) {
			return err == nil && order == ``, err
		}
	}
	return false, nil
}

// The first byte of a page of a tree.
const (
	indexNode = 2
	tableNode = 5
	indexLeaf = 10
	tableLeaf = 13
)

// setRoot makes the content of a page that of the roots of tables.
func (m *image) setRoot(page uint32, roots ...uint32) error {
	b := make([]byte, tables.PageSize)
	for _, root := range roots {
		delete(m.replaced, root)
	}
	if err := m.read(page, b); err != nil {
		return err
	}
	if b[0] == indexNode {
		toLeaf(b)
	}
	for _, root := range roots {
		m.replaced[root] = b
	}
	return m.conn.Run(`PRAGMA shrink_memory`) // drops what was read from the pages before
}

// toLeaf makes a leaf of an inner page of an index, which has rows too: each is behind
// the number of a page.
func toLeaf(b []byte) {
	b[0] = indexLeaf
	n := min(int(binary.BigEndian.Uint16(b[3:])), (tables.PageSize-12)/2)
	for i := range n {
		at := binary.BigEndian.Uint16(b[12+2*i:])
		binary.BigEndian.PutUint16(b[8+2*i:], at+4)
	}
}

// mapOf returns the page of the map that has the entry of a page: its kind and its
// parent. See https://sqlite.org/fileformat2.html, section 1.8.
func mapOf(page uint32) uint32 {
	const entries = tables.PageSize / 5
	return (page-2)/(entries+1)*(entries+1) + 2
}

// The kinds of pages in the map that are in trees.
const (
	mapRoot = 1
	mapNode = 5
)

// entry returns the kind of a page and its parent.
func (m *image) entry(page uint32) (kind byte, parent uint32) {
	var b [tables.PageSize]byte
	if page < 3 || page == mapOf(page) || m.read(mapOf(page), b[:]) != nil {
		return 0, 0
	}
	entry := b[5*(page-mapOf(page)-1):]
	return entry[0], binary.BigEndian.Uint32(entry[1:])
}

// owner returns the root of the tree that a page is in, or 0.
func (m *image) owner(page uint32) uint32 {
	for range 20 {
		switch kind, parent := m.entry(page); kind {
		case mapRoot:
			return page
		case mapNode:
			page = parent
		default:
			return 0
		}
	}
	return 0
}
