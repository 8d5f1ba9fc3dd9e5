package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// The root pages of the tables in every store. Nothing moves them: with auto_vacuum,
// root pages are in front of all others.
const (
	rootMeta     = 3
	rootEvent    = 6
	rootPayload  = 7
	rootDelivery = 8
)

// The first byte of a page of a tree.
const (
	indexNode = 2
	tableNode = 5
	indexLeaf = 10
	tableLeaf = 13
)

// A model is what every new store is like.
type model struct {
	schema string
	first  []byte // page
}

var newModel = sync.OnceValues(func() (m model, err error) {
	c, err := openConn(":memory:", url.Values{}, createPragmas...)
	if err != nil {
		return m, err
	}
	err = migrate(c, "a new store")
	if err == nil {
		m.schema, err = schemaOf(c)
	}
	if err == nil {
		err = c.query(context.Background(), `SELECT data FROM sqlite_dbpage WHERE pgno = 1`, func(row []driver.Value) error {
			s := scanner{row: row}
			m.first = s.blob()
			return s.err()
		})
	}
	return m, errors.Join(err, c.close())
})

// useSchema returns an error unless the database is a store, and brings it to this
// version. Where all of the schema is as in a new one, the mark cannot have been changed
// but by damage.
func useSchema(c *conn, path string) error {
	model, err := newModel()
	if err != nil {
		return err
	}
	got, err := schemaOf(c)
	if err != nil {
		return err
	}
	id, err := c.number(`PRAGMA application_id`)
	if err == nil && id != applicationID && got != model.schema {
		return errForeign(path)
	}
	if err == nil && id == applicationID {
		err = migrate(c, path)
	}
	if err == nil {
		got, err = schemaOf(c)
	}
	if err == nil && got != model.schema {
		err = fmt.Errorf("%w: its tables are not those of a store", errStructure)
	}
	return err
}

// identify returns an error unless the image is of a store of this version. Where its
// first page is damaged, that of a new store replaces it: it says where the tables are,
// which is the same in each.
func (m *image) identify(path string) error {
	err := useSchema(m.conn, path)
	if !errors.Is(err, policy.ErrDamaged) {
		return err
	}
	model, err := newModel()
	if err != nil {
		return err
	}
	m.grafted = true
	m.setFirst(slices.Clone(model.first))
	return m.reopen()
}

// schemaOf returns all of the schema, but for the tables that Litestream adds. The indexes
// of a copy are behind those, so their pages are others there.
func schemaOf(k *conn) (all string, err error) {
	err = k.query(context.Background(), `
		SELECT type, name, CASE type WHEN 'table' THEN rootpage END, sql FROM sqlite_schema
		WHERE name NOT IN ('_litestream_seq', '_litestream_lock')`, func(row []driver.Value) error {
		all += fmt.Sprint(row)
		return nil
	})
	return all, err
}

// setRoot makes the content of a page that of the roots of tables.
func (m *image) setRoot(page uint32, roots ...uint32) error {
	b := make([]byte, pageSize)
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
	return m.conn.run(`PRAGMA shrink_memory`) // drops what was read from the pages before
}

// toLeaf makes a leaf of an inner page of an index, which has rows too: each is behind
// the number of a page.
func toLeaf(b []byte) {
	b[0] = indexLeaf
	n := min(int(binary.BigEndian.Uint16(b[3:])), (pageSize-12)/2)
	for i := range n {
		at := binary.BigEndian.Uint16(b[12+2*i:])
		binary.BigEndian.PutUint16(b[8+2*i:], at+4)
	}
}

// salvage copies the rows on all pages that can be read, whether or not the trees of
// the tables lead to them. SQLite reads each page as if the table had no other. Of
// payloads only the place is copied.
func (c *contents) salvage(ctx context.Context) (err error) {
	m := c.image
	if c.rows, err = openConn("", url.Values{}, `PRAGMA synchronous=OFF`, `PRAGMA journal_mode=OFF`); err != nil {
		return err
	}
	c.copied = true
	if err := c.rows.run(schema1 + `; BEGIN`); err != nil {
		return err
	}
	for i, b := range m.damaged { // before older contents of the same pages
		page := m.pages + 1 + uint32(i)
		m.replaced[page] = b
		if _, err := c.salvagePage(page, b[0]); err != nil {
			return err
		}
	}
	b := make([]byte, pageSize)
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
		if !whole && m.owner(page) == rootEvent {
			bad = append(bad, page)
		}
		_, parent := m.entry(page)
		parents[parent] = true
	}
	for _, root := range []uint32{rootEvent, rootPayload, rootDelivery} {
		delete(m.replaced, root)
	}
	if err := m.conn.run(`PRAGMA shrink_memory`); err != nil {
		return err
	}
	for _, page := range bad {
		if !parents[page] { // it was a leaf
			c.gaps++
		}
	}
	if m.cut || m.truncated() > 0 {
		c.gaps++
	}
	return c.rows.run(`COMMIT`)
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
	if err := c.image.setRoot(page, rootEvent, rootPayload); err != nil {
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
		return c.rows.exec(`INSERT OR IGNORE`+intoPayload, row...)
	})
	if err != nil || payloads > 0 {
		return whole, err
	}
	return c.copyRows(`SELECT `+eventColumns+` FROM event e`, func(row []driver.Value) error {
		if _, _, err := scanEvent(row); err != nil {
			return nil //nolint:nilerr // a row of another table, or a damaged one
		}
		return c.rows.exec(`INSERT OR IGNORE`+intoEvent, row...)
	})
}

// salvageDeliveries copies the rows of a page of table delivery.
func (c *contents) salvageDeliveries(page uint32) error {
	if err := c.image.setRoot(page, rootDelivery); err != nil {
		return err
	}
	_, err := c.copyRows(`SELECT seq, upstream, state, due, attempts, used, history, checksum FROM delivery NOT INDEXED`, func(row []driver.Value) error {
		seq, ok := row[0].(int64)
		if _, err := scanDelivery(seq, row[1:], c.names); err != nil || !ok {
			return nil //nolint:nilerr // a row of another table, or a damaged one
		}
		if history, _ := row[6].([]byte); len(history) == 0 {
			row[6] = []byte{} // not NULL
		}
		return c.rows.exec(`INSERT OR IGNORE`+intoDelivery, slices.Concat(row[2:], row[:2])...)
	})
	return err
}

// copyRows calls each with the rows of a table of one page, from both ends to the first
// that cannot be read, and reports whether there is none.
func (c *contents) copyRows(text string, each func(row []driver.Value) error) (whole bool, err error) {
	for _, order := range []string{``, ` ORDER BY 1 DESC`} {
		err := c.image.conn.query(context.Background(), text+order, each)
		if !errors.Is(err, policy.ErrDamaged) {
			return err == nil && order == ``, err
		}
	}
	return false, nil
}

// mapOf returns the page of the map that has the entry of a page: its kind and its
// parent. See https://sqlite.org/fileformat2.html, section 1.8.
func mapOf(page uint32) uint32 {
	const entries = pageSize / 5
	return (page-2)/(entries+1)*(entries+1) + 2
}

// The kinds of pages in the map that are in trees.
const (
	mapRoot = 1
	mapNode = 5
)

// entry returns the kind of a page and its parent.
func (m *image) entry(page uint32) (kind byte, parent uint32) {
	var b [pageSize]byte
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
