package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// The root pages of the tables in every store. Nothing moves them: with auto_vacuum,
// root pages are in front of all others.
const (
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

// identify returns an error unless the image is of a store of this version. Where its
// first page is damaged, that of a new store replaces it: it says where the tables are,
// which is the same in each.
func (m *image) identify() error {
	model, err := openConn(":memory:", url.Values{}, createPragmas...)
	if err != nil {
		return err
	}
	defer func() { _ = model.close() }() // it is in memory
	if err := migrate(model, m.name); err != nil {
		return err
	}
	want, err := schemaOf(model)
	if err != nil {
		return err
	}
	got, err := schemaOf(m.conn)
	if err == nil && got == want {
		return nil
	}
	if err == nil {
		id, _ := m.conn.number(`PRAGMA application_id`)
		version, _ := m.conn.number(`PRAGMA user_version`)
		switch {
		case id != applicationID:
			return errors.New("it is the database of another program; give another path")
		case version > int64(len(migrations)):
			return fmt.Errorf("it is of version %d and this program reads up to %d; use the newer program", version, len(migrations))
		}
	}
	var first []byte
	err = model.query(context.Background(), `SELECT data FROM sqlite_dbpage WHERE pgno = 1`, func(row []driver.Value) error {
		s := scanner{row: row}
		first = s.blob()
		return s.err()
	})
	if err != nil {
		return err
	}
	m.setFirst(first)
	return m.reopen()
}

// schemaOf returns all of the schema.
func schemaOf(k *conn) (all string, err error) {
	err = k.query(context.Background(), `SELECT type, name, rootpage, sql FROM sqlite_schema`, func(row []driver.Value) error {
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
	b := make([]byte, pageSize)
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
		whole := b[0] == tableNode
		switch b[0] {
		case tableLeaf:
			whole, err = c.salvageTable(page)
		case indexLeaf, indexNode:
			err = c.salvageDeliveries(page)
		}
		if err != nil {
			return err
		}
		if !whole && m.owner(page) == rootEvent {
			c.gaps++
		}
	}
	for _, root := range []uint32{rootEvent, rootPayload, rootDelivery} {
		delete(m.replaced, root)
	}
	if err := m.conn.run(`PRAGMA shrink_memory`); err != nil {
		return err
	}
	return c.rows.run(`COMMIT`)
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

// owner returns the root of the tree that the page is in, or 0.
func (m *image) owner(page uint32) uint32 {
	b := make([]byte, pageSize)
	for range 20 {
		if page < 3 || page == mapOf(page) || m.read(mapOf(page), b) != nil {
			return 0
		}
		entry := b[5*(page-mapOf(page)-1):]
		switch entry[0] {
		case 1: // a root
			return page
		case 5: // another page of a tree
			page = binary.BigEndian.Uint32(entry[1:])
		default:
			return 0
		}
	}
	return 0
}
