package wal

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/scribegate/scribegate/forwarder/queue/queuetest/trials"
)

const rowCount = 400

var trialCount = trials.Of(240)

func rowID(row int) int64 { return 1_773_934_200_000_000 + int64(1000*row) }

// A fixture is a database and its WAL after a process was killed: one row of about 1.7
// kB per commit, and no checkpoint.
type fixture struct {
	database, wal []byte
	rows          map[int64]string
}

var recording = sync.OnceValues(func() (*fixture, error) {
	dir, err := os.MkdirTemp("", "wal")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	x := &fixture{rows: make(map[int64]string)}
	db, err := openDatabase(filepath.Join(dir, "queue.db"))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range rowCount {
		seq := rowID(i)
		sealed := make([]byte, 1700)
		for j := range sealed {
			sealed[j] = byte(random.Uint32())
		}
		copy(sealed, fmt.Sprintf("payload-%06d", i))
		x.rows[seq] = string(sealed)
		if _, err := db.Exec(`INSERT INTO event VALUES (?, ?, ?)`, seq, fmt.Sprintf("soniox-%08x%024d", random.Uint32(), i), sealed); err != nil {
			return nil, err
		}
	}
	if x.database, err = os.ReadFile(filepath.Join(dir, "queue.db")); err != nil {
		return nil, err
	}
	x.wal, err = os.ReadFile(filepath.Join(dir, "queue.db-wal"))
	return x, err
})

func openDatabase(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`
		PRAGMA page_size = 4096;
		PRAGMA auto_vacuum = INCREMENTAL;
		PRAGMA journal_mode = WAL;
		PRAGMA synchronous = OFF;
		PRAGMA wal_autocheckpoint = 0;
		CREATE TABLE event (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, sealed BLOB NOT NULL) STRICT;
		CREATE UNIQUE INDEX event_id ON event (id);
		PRAGMA wal_checkpoint(TRUNCATE)`)
	return db, err
}

func recorded(t testing.TB) *fixture {
	t.Helper()
	x, err := recording()
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *fixture) frames() int { return (len(x.wal) - headerSize) / (frameHeader + 4096) }

func (x *fixture) frame(i int) frame {
	return frame(x.wal[frameOffset(4096, i):frameOffset(4096, i+1)])
}

// put writes the database and a WAL to a new directory.
func (x *fixture) put(t testing.TB, wal []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "queue.db")
	for file, b := range map[string][]byte{path: x.database, path + "-wal": wal} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// missing opens the database. It returns the rows that are missing or changed, and the
// result of the integrity check.
func (x *fixture) missing(t testing.TB, path string) (lost []int64, check string) {
	t.Helper()
	db, err := sql.Open("sqlite", path+"?mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0`); err != nil {
		t.Fatalf("the database does not open: %v", err)
	}
	s, err := db.Prepare(`SELECT sealed FROM event WHERE seq = ?`)
	if err != nil {
		t.Fatalf("the database does not open: %v", err)
	}
	defer s.Close()
	for seq, want := range x.rows {
		var sealed sql.RawBytes
		rows, err := s.Query(seq)
		if err == nil && rows.Next() && rows.Scan(&sealed) == nil && string(sealed) == want {
			_ = rows.Close()
			continue
		}
		if err == nil {
			_ = rows.Close()
		}
		lost = append(lost, seq)
	}
	slices.Sort(lost)
	if err := db.QueryRow(`PRAGMA integrity_check(1)`).Scan(&check); err != nil {
		check = err.Error()
	}
	return lost, check
}

// bound returns the rows that damage to a range of the WAL may lose.
func (x *fixture) bound(from, to int) map[int64]bool {
	may := make(map[int64]bool)
	add := func(page []byte) {
		for seq, sealed := range x.rows {
			if bytes.Contains(page, []byte(sealed[:len("payload-000000")])) {
				may[seq] = true
			}
		}
	}
	var damaged []int
	for i := range x.frames() {
		if int(frameOffset(4096, i)) < to && from < int(frameOffset(4096, i+1)) {
			damaged = append(damaged, i)
			add(x.frame(i).content())
		}
	}
	// An interior page of the table has no rows, but an older version of it does not
	// lead to newer leaf pages.
	for _, i := range damaged {
		if page := x.frame(i).content(); page[0] == 5 {
			older := x.children(x.lastOf(x.frame(i).page(), damaged[0]))
			for leaf := range x.children(page) {
				if !older[leaf] {
					add(x.lastOf(leaf, x.frames()))
				}
			}
		}
	}
	return may
}

// certain reports whether the checksum identifies a byte. It does not identify the
// highest byte of a word, and no byte of the last frame's checksum.
func (x *fixture) certain(at int) bool {
	if at < headerSize {
		return true
	}
	frame, at := (at-headerSize)/(frameHeader+4096), (at-headerSize)%(frameHeader+4096)
	if at >= 8 && at < frameHeader {
		return at < 16 || frame < x.frames()-1
	}
	return at%4 != 3
}

// transaction returns the offset at which the nth last transaction begins.
func (x *fixture) transaction(n int) int {
	for i := x.frames() - 1; ; i-- {
		if x.frame(i).commit() != 0 {
			if n--; n < 0 {
				return int(frameOffset(4096, i+1))
			}
		}
	}
}

// commits returns how many transactions end within the first frames.
func (x *fixture) commits(frames int) (n int) {
	for i := range frames {
		if x.frame(i).commit() != 0 {
			n++
		}
	}
	return n
}

// lastOf returns the last content of a page before a frame.
func (x *fixture) lastOf(page uint32, before int) []byte {
	for i := before - 1; i >= 0; i-- {
		if f := x.frame(i); f.page() == page {
			return f.content()
		}
	}
	return nil
}

// children returns the child pages of an interior page of a table.
func (x *fixture) children(page []byte) map[uint32]bool {
	all := make(map[uint32]bool)
	if page == nil || page[0] != 5 {
		return all
	}
	all[binary.BigEndian.Uint32(page[8:])] = true
	for i := range binary.BigEndian.Uint16(page[3:]) {
		cell := binary.BigEndian.Uint16(page[12+2*i:])
		all[binary.BigEndian.Uint32(page[cell:])] = true
	}
	return all
}

// repaired returns a WAL after the repair, which must be undamaged.
func repaired(t testing.TB, wal []byte) (Report, []byte) {
	t.Helper()
	r, w, err := inspect(bytes.NewReader(wal))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.write(&out, bytes.NewReader(wal), w); err != nil {
		t.Fatal(err)
	}
	again, _, err := inspect(bytes.NewReader(out.Bytes()))
	if err != nil || again.IsDamaged() || again.End != again.Frames || again.Tail != 0 || again.End > r.End || !again.Committed && again.End > 0 {
		t.Fatalf("after the repair: %+v, %v; before it: %+v", again, err, r)
	}
	return r, out.Bytes()
}

// A single damaged byte loses nothing if the checksum identifies it. Otherwise it loses
// at most the rows on its page.
func TestRepairADamagedByte(t *testing.T) {
	t.Parallel()
	x := recorded(t)
	random := rand.New(rand.NewPCG(3, 4))
	places := []struct {
		name   string
		offset func(trial int) int
	}{
		{"header", func(trial int) int { return trial % headerSize }},
		{"frame header", func(trial int) int {
			return int(frameOffset(4096, random.IntN(x.frames()))) + trial%frameHeader
		}},
		{"page", func(int) int {
			return int(frameOffset(4096, random.IntN(x.frames()))) + frameHeader + random.IntN(4096)
		}},
		{"last frame", func(trial int) int { return len(x.wal) - 8 - trial*53%(frameHeader+4096-8) }},
	}
	var silent, made, whole, total int
	for _, p := range places {
		name := p.name
		for i := range trialCount / len(places) {
			at := p.offset(i)
			damaged := bytes.Clone(x.wal)
			damaged[at] ^= byte(1 + random.IntN(255))
			r, wal := repaired(t, damaged)
			alone, _ := x.missing(t, x.put(t, damaged))
			silent += len(alone)
			if want := rowCount - x.commits(r.Frames); len(alone) != want || want == 0 {
				t.Errorf("%s, byte %d: without a repair SQLite loses %d rows, and %d by the report", name, at, len(alone), want)
			}
			lost, check := x.missing(t, x.put(t, wal))
			certain := x.certain(at)
			if !r.IsDamaged() || r.Err() == nil || certain && !r.Whole() || r.HeaderDamaged != (at < headerSize) {
				t.Errorf("%s, byte %d: %v: %+v", name, at, r.Err(), r)
			}
			may := x.bound(at, at+1)
			if r.Whole() && (len(lost) > 0 || check != "ok") || slices.ContainsFunc(lost, func(seq int64) bool { return !may[seq] }) {
				t.Errorf("%s, byte %d: lost %v of %d, check: %s, %v", name, at, lost, len(may), check, r.Err())
			}
			if certain {
				whole++
			}
			total += len(lost)
			made++
		}
	}
	t.Logf("%d trials: certainly nothing lost in %d, %d rows lost in the others; without a repair %d a trial", made, whole, total, silent/made)
}

// Damage to more bytes loses at most the rows on the damaged pages, and none if a later
// frame has the same page.
func TestRepairADamagedRange(t *testing.T) {
	t.Parallel()
	x := recorded(t)
	random := rand.New(rand.NewPCG(5, 6))
	var total, most, made, restored int
	for _, size := range []int{2, 8, 24, 100, 512, 4096, 3 * 4096} {
		for _, mask := range []uint32{0xff, 0} {
			for range max(1, trialCount/14) {
				align := 1
				if size >= 512 {
					align = 512 // a sector
				}
				from := random.IntN(len(x.wal)-size) / align * align
				damaged := bytes.Clone(x.wal)
				for i := range size {
					damaged[from+i] = byte(random.Uint32() & mask)
				}
				r, wal := repaired(t, damaged)
				lost, check := x.missing(t, x.put(t, wal))
				may := x.bound(from, from+size)
				what := fmt.Sprintf("%d bytes & %#x from byte %d: lost %d of %d, %s, %v", size, mask, from, len(lost), len(may), check, r.Err())
				// The last transaction looks interrupted by a power failure, and if its
				// beginning is destroyed, the previous transaction is a part of it.
				cut := r.Tail > 0 && from+size > x.transaction(2)
				if slices.ContainsFunc(lost, func(seq int64) bool { return !may[seq] && (!cut || seq < rowID(rowCount-2)) }) {
					t.Errorf("%s: lost a row that is not on the damaged pages: %v", what, lost)
				}
				if r.Whole() && !cut && (len(lost) > 0 || check != "ok") {
					t.Errorf("%s: the report claims that nothing is lost", what)
				}
				if r.Whole() {
					restored++
				}
				total, most, made = total+len(lost), max(most, len(lost)), made+1
				t.Log(what)
			}
		}
	}
	t.Logf("%d trials: %d rows lost, at most %d in one; certainly nothing lost in %d", made, total, most, restored)
}

// The last version of page 1 is destroyed: the previous version has a size of the
// database that excludes the last rows.
func TestRepairWithoutTheLastPage1(t *testing.T) {
	t.Parallel()
	x := recorded(t)
	last := x.frames() - 1
	for x.frame(last).page() != 1 {
		last--
	}
	damaged := bytes.Clone(x.wal)
	for i := range 400 {
		damaged[frameOffset(4096, last)+1000+int64(i)] ^= byte(i)
	}
	r, wal := repaired(t, damaged)
	if want := (Damage{Frame: last, Offset: frameOffset(4096, last), Page: 1, State: Dropped}); len(r.Damaged) != 1 || r.Damaged[0] != want {
		t.Errorf("%+v, want %+v", r.Damaged, want)
	}
	if lost, check := x.missing(t, x.put(t, wal)); len(lost) > 0 {
		t.Errorf("lost %v, check: %s", lost, check)
	}
}

// The first sectors are destroyed, with the header and the first frames.
func TestRepairWithoutTheBeginning(t *testing.T) {
	t.Parallel()
	x := recorded(t)
	for _, size := range []int{headerSize, 512, 4096, 8192, 65536} {
		damaged := bytes.Clone(x.wal)
		clear(damaged[:size])
		r, wal := repaired(t, damaged)
		lost, check := x.missing(t, x.put(t, wal))
		may := x.bound(0, size)
		if slices.ContainsFunc(lost, func(seq int64) bool { return !may[seq] }) || !r.HeaderDamaged || !r.IsDamaged() || r.PageSize != 4096 {
			t.Errorf("%d bytes: lost %v of %d, check: %s, %+v", size, lost, len(may), check, r)
		}
	}
}

func TestRepairOtherPageSizes(t *testing.T) {
	t.Parallel()
	for _, size := range []int{512, 65536} {
		path := filepath.Join(t.TempDir(), "queue.db")
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		if _, err := db.Exec(fmt.Sprintf(`PRAGMA page_size = %d; PRAGMA journal_mode = WAL; CREATE TABLE event (seq INTEGER PRIMARY KEY, sealed BLOB);
			PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO event VALUES (1, 'one'); INSERT INTO event VALUES (2, 'two')`, size)); err != nil {
			t.Fatal(err)
		}
		x := &fixture{rows: map[int64]string{1: "one", 2: "two"}}
		if x.database, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if x.wal, err = os.ReadFile(path + "-wal"); err != nil {
			t.Fatal(err)
		}
		for at := range headerSize + frameHeader + 16 {
			damaged := bytes.Clone(x.wal)
			damaged[at] ^= 0x11
			r, wal := repaired(t, damaged)
			lost, check := x.missing(t, x.put(t, wal))
			if !r.IsDamaged() || r.PageSize != size || len(lost) > 0 || r.Whole() && check != "ok" {
				t.Errorf("page size %d, byte %d: lost %v, check: %s, %+v", size, at, lost, check, r)
			}
		}
	}
}

// On other machines SQLite writes checksums of big-endian words, and it reads them
// everywhere.
func TestRepairBigEndian(t *testing.T) {
	t.Parallel()
	x := recorded(t)
	w := &format{big: true, pageSize: 4096, salt: x.frame(0).salt()}
	wal, sum := w.header()
	for i := range x.frames() {
		f := frame(bytes.Clone(x.frame(i)))
		sum = w.sumAfter(sum, f)
		sum.put(f[16:])
		wal = append(wal, f...)
	}
	if lost, check := x.missing(t, x.put(t, wal)); len(lost) > 0 {
		t.Fatalf("SQLite does not read the WAL: lost %d, check: %s", len(lost), check)
	}
	wal[frameOffset(4096, 300)+1001] ^= 1
	wal[3] ^= 1 // the other magic number
	r, whole := repaired(t, wal)
	if !r.HeaderDamaged || len(r.Damaged) != 1 || r.Damaged[0].State != Restored || !r.Whole() {
		t.Errorf("%+v", r)
	}
	if lost, check := x.missing(t, x.put(t, whole)); len(lost) > 0 || check != "ok" {
		t.Errorf("lost %v, check: %s", lost, check)
	}
}

func TestRepairFile(t *testing.T) {
	t.Parallel()
	x := recorded(t)
	damaged := bytes.Clone(x.wal)
	damaged[frameOffset(4096, 700)+100] ^= 1
	path := x.put(t, damaged)
	from, to := path+"-wal", path+".whole"
	if err := os.Chmod(from, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+".repaired", make([]byte, 2*len(damaged)), 0o600); err != nil { // of an interrupted attempt
		t.Fatal(err)
	}
	for _, to := range []string{to, from} {
		if r, err := Repair(from, to); err != nil || r.Err() == nil || !r.Whole() || r.Frames != 700 {
			t.Fatalf("%+v, %v", r, err)
		}
		if b, err := os.ReadFile(to); err != nil || !bytes.Equal(b, x.wal) {
			t.Errorf("the repaired WAL differs from the original: %v", err)
		}
		if info, err := os.Stat(to); err != nil || info.Mode() != 0o640 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 3 {
		t.Errorf("files left: %v, %v", entries, err)
	}
	if _, err := Repair(path+".missing", path+"-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("repairing a missing WAL: %v", err)
	}
}
