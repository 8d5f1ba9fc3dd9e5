package postgresqueue

import (
	"encoding/binary"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"
)

// sizedBytes registers an encoding of arrays of bytea that allocates its buffer once. The one
// of pgx lets the buffer grow with each payload, and so copies payloads several times.
func sizedBytes(m *pgtype.Map) {
	t, _ := m.TypeForOID(pgtype.ByteaArrayOID)
	m.RegisterType(&pgtype.Type{Name: t.Name, OID: t.OID, Codec: bytesCodec{t.Codec}})
}

// A bytesCodec encodes [][]byte without NULLs in the binary format, and leaves the rest to pgx.
type bytesCodec struct{ pgtype.Codec }

// PlanEncode implements pgtype.Codec.
func (c bytesCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if all, ok := value.([][]byte); ok && len(all) > 0 && format == pgtype.BinaryFormatCode {
		return bytesPlan{}
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

type bytesPlan struct{}

// Encode implements pgtype.EncodePlan. The format is that of PostgreSQL's function array_send.
func (bytesPlan) Encode(value any, buf []byte) ([]byte, error) {
	all := value.([][]byte)
	n := 5 * 4
	for _, b := range all {
		n += 4 + len(b)
	}
	buf = slices.Grow(buf, n)
	for _, v := range []uint32{1, 0, pgtype.ByteaOID, uint32(len(all)), 1} { // dimensions, whether there are NULLs, of what, length, lower bound
		buf = binary.BigEndian.AppendUint32(buf, v)
	}
	for _, b := range all {
		buf = append(binary.BigEndian.AppendUint32(buf, uint32(len(b))), b...)
	}
	return buf, nil
}
