package tables

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// ReadAudit returns the heads of the audit trail, or policy.ErrDamaged. A store of an older version
// has none.
func ReadAudit(c *Conn) (heads []queue.AuditHead, err error) {
	if has, err := c.Number(`SELECT count(*) FROM pragma_table_info('meta') WHERE name = 'audit'`); err != nil || has == 0 {
		return nil, err
	}
	queried := c.Query(context.Background(), `SELECT audit FROM meta`, func(row []driver.Value) error {
		s := Scanner{Row: row}
		text := s.Text()
		if err = s.Err(); err != nil || text == "" {
			return nil
		}
		sum, coded, _ := strings.Cut(text, " ")
		if sum != auditChecksum([]byte(coded)) || json.Unmarshal([]byte(coded), &heads) != nil {
			heads, err = nil, fmt.Errorf("%w: the newest lines of the audit trail have a wrong checksum", policy.ErrDamaged)
		}
		return nil
	})
	if queried != nil {
		err = queried
	}
	return heads, err
}

// codeAudit returns the column for some heads.
func codeAudit(heads []queue.AuditHead) (string, error) {
	if len(heads) == 0 {
		return "", nil
	}
	coded, err := json.Marshal(heads)
	return auditChecksum(coded) + " " + string(coded), err
}

func auditChecksum(coded []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(coded, castagnoli))
}
