package postgresqueue

import (
	"bytes"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

// Arrays are encoded as by pgx, in a buffer that is allocated once.
func TestSizedBytes(t *testing.T) {
	byPgx, sized := pgtype.NewMap(), pgtype.NewMap()
	sizedBytes(sized)
	for name, all := range map[string][][]byte{"none": {}, "one": {[]byte("sealed")}, "an empty one": {{}, []byte("x")}, "many": slicesOf(64, 2000)} {
		for _, format := range []int16{pgtype.BinaryFormatCode, pgtype.TextFormatCode} {
			want, err1 := byPgx.Encode(pgtype.ByteaArrayOID, format, all, []byte("before"))
			got, err2 := sized.Encode(pgtype.ByteaArrayOID, format, all, []byte("before"))
			if err := errors.Join(err1, err2); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s in format %d: %d bytes, %v, want the %d of pgx", name, format, len(got), err, len(want))
			}
		}
	}
	all := slicesOf(64, 2000)
	if n := testing.AllocsPerRun(10, func() { _, _ = bytesPlan{}.Encode(all, nil) }); n > 2 { // the race detector adds one
		t.Errorf("%v allocations, want one", n)
	}
	scanned := [][]byte{}
	text, err := sized.Encode(pgtype.ByteaArrayOID, pgtype.BinaryFormatCode, all, nil)
	if err = errors.Join(err, sized.Scan(pgtype.ByteaArrayOID, pgtype.BinaryFormatCode, text, &scanned)); err != nil || len(scanned) != len(all) || !bytes.Equal(scanned[63], all[63]) {
		t.Errorf("read %d values, %v, want %d", len(scanned), err, len(all))
	}
}

func slicesOf(n, size int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = bytes.Repeat([]byte{byte(i)}, size+i)
	}
	return all
}
